//! What a client hands out: each stands for something that is to be given back once.

use super::Reply;
use crate::bell::Rung;
use crate::slot::Generation;

/// What a client has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounts {
    /// Requests submitted.
    pub submitted: u64,
    /// Replies that came while the caller spun.
    pub hits: u64,
    /// Calls left to the waiter.
    pub parks: u64,
    /// Times the service had to be woken.
    pub wakes: u64,
    /// Calls refused as too many.
    pub busy: u64,
}

/// A call under way. It must be [polled](super::Client::poll) until done or [parked](super::Client::park).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Ticket {
    pub(super) slot: u32,
    pub(super) generation: Generation,
    /// Whether the service had to be woken: then spinning for the reply is no use.
    pub rung: Rung,
}

impl Ticket {
    /// The slot it stands for, to note things under before parking.
    pub fn slot(&self) -> u32 {
        self.slot
    }
}

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Done(Reply),
    /// Not yet: the ticket comes back.
    Pending(Ticket),
}

/// What became of an attempt to park a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Parked {
    /// The reply had come meanwhile.
    Done(Reply),
    /// Somebody else will tell the caller, under this slot's number.
    Waiting(u32),
}

/// A slot whose caller is owed word, and which nobody else can use until it is
/// [released](super::Client::release).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Owed(pub(super) u32);

impl Owed {
    /// The slot's number.
    pub fn slot(&self) -> u32 {
        self.0
    }
}

/// A request block and the reply block of the same number, until [given back](super::Client::give_back).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Block(pub(super) u32);

impl Block {
    /// Its number, for the words of a request.
    pub fn number(&self) -> u64 {
        u64::from(self.0)
    }
}
