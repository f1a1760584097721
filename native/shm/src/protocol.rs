//! What the words of a request and of a reply mean.
//!
//! The first word of a request is its operation ([`op`]), the first word of a reply is its status
//! ([`status`]). What follows depends on the operation; words that are not named are 0.
//!
//! | operation | request words | reply words |
//! |---|---|---|
//! | [`op::PING`] | | status |
//! | [`op::STATS`] | | status, then what the worker counts |
//! | [`op::ECHO`] | op, block, bytes | status, bytes; the same bytes in the reply block of that number |
//! | [`op::ADVANCE`] | op, world, absolute tick, slice in µs | status, tick reached, 1 if that was the one asked for |
//! | [`op::GENERATE`] | op, world, 0, slice in µs | status, 0, 1 if the world is whole |
//! | [`op::DIGEST`] | op, world | status, tick, the digest's 32 bytes as four little-endian words |
//! | [`op::CLOSE`] | op, world | status |
//!
//! A slice is how long the request may keep a thread; an advance goes on where the one before stopped.

/// Operations.
pub mod op {
    /// Answers, and does nothing else.
    pub const PING: u64 = 1;
    /// What the worker counts.
    pub const STATS: u64 = 2;
    /// Sends a payload back.
    pub const ECHO: u64 = 3;
    /// Ticks a world up to an absolute tick; harmless if it is there already.
    pub const ADVANCE: u64 = 4;
    /// Generates a world.
    pub const GENERATE: u64 = 5;
    /// The canonical digest of a world.
    pub const DIGEST: u64 = 6;
    /// Lets go of a world.
    pub const CLOSE: u64 = 7;
}

/// How a request ended.
pub mod status {
    /// Done.
    pub const OK: u64 = 0;
    /// Its deadline had passed before the work began; nothing was done.
    pub const LATE: u64 = 1;
    /// The worker has no world of that id.
    pub const NO_SUCH_WORLD: u64 = 2;
    /// The world is at other work.
    pub const BUSY: u64 = 3;
    /// It was tried and failed.
    pub const FAILED: u64 = 4;
    /// The worker does not know the operation.
    pub const NO_SUCH_OPERATION: u64 = 5;
    /// The words of the request do not fit its operation.
    pub const INVALID: u64 = 6;
    /// What the next tick makes has no room in the world's memory: it is to be made again with more.
    pub const FULL: u64 = 7;
}
