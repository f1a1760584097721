//! Calls to one other process: submission rings, reply slots, a completion ring, and blocks for payloads.
//!
//! They lie in two segments. The *requests* are written by the client alone and sealed, so the service cannot
//! write them; the *replies* are written by the service, and where the two settle something by both.
//!
//! | offset in the requests | what |
//! |---|---|
//! | 0 | header |
//! | 64 | the [`Shape`]: rings, entries of a ring, slots, blocks, bytes of a block (u32 each) |
//! | 128 | submission rings in use: those above have never been written (u32) |
//! | 192 | the completion ring's head (u32) |
//! | 256 | each submission ring: its tail (u32, a cache line), its entries (u64 each, whole cache lines) |
//! | then | each slot's request, a cache line: deadline, then the request's words (u64 each) |
//! | next page | the request blocks |
//!
//! | offset in the replies | what |
//! |---|---|
//! | 0 | header |
//! | 64, 128 | the service's and the waiter's bell (u32 each) |
//! | 192 | beat, taken, sleeps, spins won (u64 each), written by the service's thread |
//! | 256 | progress (u64), written by all threads of the service |
//! | 320 | each submission ring's head (u32, a cache line) |
//! | then | the completion ring: its tail (u32, a cache line), its entries (u64 each, whole cache lines) |
//! | then | each slot, two cache lines: its state (u32), from byte 8 the reply's words (u64 each) |
//! | next page | the reply blocks |
//!
//! A request has a slot of its own for its whole life. Its words are published by the push into the ring, the
//! reply's by the slot's state. A payload goes into a block: the client takes one, which stands for the
//! request block and the reply block of its number, and names it in the words of the request; it gives it
//! back when it has read the reply.

mod client;
mod layout;
mod service;
mod tokens;

pub use client::Client;
pub use layout::{MAX_BLOCK_BYTES, MAX_BLOCKS, MAX_RINGS, MAX_SLOTS, Shape};
pub use service::{BEAT, Completer, Job, SPIN, Taker, open};
pub use tokens::{Block, ClientCounts, Outcome, Owed, Parked, Ticket};

use thiserror::Error;

use crate::header::HeaderError;
use crate::{Corrupt, CreateError, OpenError, OutOfBounds};

/// Words of a request.
pub const REQUEST_WORDS: usize = 7;
/// Words of a reply.
pub const REPLY_WORDS: usize = 8;
/// What is answered.
pub type Reply = [u64; REPLY_WORDS];

/// What is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Request {
    /// Its words; what they mean is between the two sides.
    pub words: [u64; REQUEST_WORDS],
    /// When nobody will want the reply any more, by [`crate::clock::monotonic_ns`]; 0 is never.
    pub deadline: u64,
}

impl From<[u64; REQUEST_WORDS]> for Request {
    fn from(words: [u64; REQUEST_WORDS]) -> Self {
        Request { words, deadline: 0 }
    }
}

/// What the service has counted since it started. It wrote the numbers, so they decide nothing but whether
/// it still moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceCounts {
    /// Turns of the service's loop; grows at least every [`BEAT`].
    pub beat: u64,
    /// Steps of work done by any of its threads.
    pub progress: u64,
    /// Requests taken.
    pub taken: u64,
    /// Times it went to sleep.
    pub sleeps: u64,
    /// Times it found a request while it stayed awake for one.
    pub spins_won: u64,
}

/// Why call segments cannot be used.
#[derive(Debug, Error)]
pub enum CallsError {
    /// A header is not that of its segment.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Its numbers cannot be.
    #[error("call segments cannot have {0:?}")]
    Shape(Shape),
    /// A segment is too short for its shape.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// A segment cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// A segment cannot be mapped.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Calls need their two segments, the requests first.
    #[error("{0} segments, calls have two")]
    Segments(usize),
}

/// Why a call was not submitted, or has come to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CallError {
    /// All slots are in use, or the ring is full: nobody answers fast enough.
    #[error("too many calls are under way")]
    Busy,
    /// The service is known to be dead.
    #[error("the other process is dead")]
    Down,
    /// The other side is broken.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// Why a reply's payload was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// It is longer than a block.
    #[error("a payload of {len} bytes, a block has {block_bytes}")]
    TooLong {
        /// Bytes of the payload.
        len: usize,
        /// Bytes of a block.
        block_bytes: u32,
    },
    /// The other side named a block that does not exist.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}
