//! Memory shared with another process.
//!
//! A [`Segment`] is a sealed memfd: nobody can truncate it under a mapping, and where only one side has to
//! write, nobody else can ([`ReadOnlySegment`]). Two of them carry [`calls`] to one other process and replies
//! back, without a system call while both sides are awake.
//!
//! ```text
//!   client threads                                                    service thread
//!   ┌──────────────┐  slot index   ┌────────────────────┐
//!   │ thread 0     │──────────────►│ submission ring 0  │──┐
//!   │ thread 1     │──────────────►│ submission ring 1  │──┴──────►  take; job threads work, reply into the slot
//!   └──────┬───────┘               └────────────────────┘                        │
//!          │ polls its slot, or parks it   ┌──────────────┐    DONE, and if it   │
//!          └──────────────────────────────►│ reply slots  │◄──── was PARKED ─────┤
//!   ┌──────────────┐   slot index  ┌───────┴──────────────┴──┐                   │
//!   │ waiter       │◄──────────────│ completion ring         │◄──────────────────┘
//!   └──────────────┘               └─────────────────────────┘
//! ```
//!
//! Nothing that the other side wrote is trusted: an index or a length is copied out once, checked, and then
//! used. What does not fit is [`Corrupt`], never an access out of bounds.
//!
//! The algorithms ([`ring`], [`slot`], [`bell`], [`claim`]) are generic over their atomic words and over how a thread
//! sleeps ([`sync`]), so that the same code runs on shared memory and under loom.

pub mod bell;
pub mod bulk;
pub mod calls;
pub mod cards;
pub mod claim;
pub mod clock;
mod futex;
pub mod handover;
pub mod header;
pub mod protocol;
mod read_only;
pub mod ring;
pub mod rows;
mod segment;
pub mod slot;
pub mod sync;

pub use futex::{Doorbell, Futex};
pub use read_only::{ReadOnly, ReadOnlySegment};
pub use segment::{CreateError, Memory, OpenError, OutOfBounds, Segment};

use thiserror::Error;

/// The other side wrote something that cannot be: it is broken, and is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the peer wrote {what} {found}, which cannot be")]
pub struct Corrupt {
    /// Which word.
    pub what: &'static str,
    /// What was found in it.
    pub found: u64,
}
