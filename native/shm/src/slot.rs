//! The state of a reply slot: `FREE → SUBMITTED → DONE`, with `PARKED` between the last two if the caller
//! gave up polling. State and generation are one word, so a late answer to an earlier use of the slot is
//! recognised.
//!
//! A reply has exactly one consumer: the caller if it never parked, the waiter if it did. Both the caller's
//! `SUBMITTED → PARKED` and the service's `→ DONE` are single atomic steps on the same word, so one of
//! them comes first and the other sees it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::Corrupt;
use crate::sync::Word32;

const FREE: u32 = 0;
const SUBMITTED: u32 = 1;
const PARKED: u32 = 2;
const DONE: u32 = 3;
const STATE: u32 = 3;

/// Tells the uses of one slot apart; wraps at 2³⁰.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u32);

/// What the caller found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// The service has not answered.
    Pending,
    /// The reply is in the slot.
    Done,
}

/// What the service found when it completed a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The caller polls: nothing more to do.
    Polled,
    /// The caller parked: the slot goes to the completion ring.
    Parked,
    /// The slot is in another use by now: the answer is dropped.
    Stale,
}

/// The state word of a slot.
#[derive(Debug)]
pub struct Slot<'a, W>(&'a W);

impl<'a, W: Word32> Slot<'a, W> {
    /// A view of a slot's word. A fresh word is zero: free.
    pub fn new(word: &'a W) -> Self {
        Slot(word)
    }

    /// Takes a free slot for a new request; `None` if it is in use. The client, which hands out slots, is the
    /// only one to call this.
    pub fn submit(&self) -> Option<Generation> {
        let word = self.0.load(Relaxed);
        if word & STATE != FREE {
            return None;
        }
        let generation = (word >> 2).wrapping_add(1) & (u32::MAX >> 2);
        // Published by the push into the submission ring.
        self.0.store(generation << 2 | SUBMITTED, Relaxed);
        Some(Generation(generation))
    }

    /// The generation that a request in the ring belongs to. The service calls this.
    pub fn generation(&self) -> Generation {
        Generation(self.0.load(Relaxed) >> 2)
    }

    /// Looks for the reply.
    pub fn poll(&self, generation: Generation) -> Result<Poll, Corrupt> {
        // Acquire pairs with the Release of `complete`: the reply is whole.
        self.check(self.0.load(Acquire), generation)
    }

    /// Leaves the reply to the waiter. `Done` if it has come meanwhile: then it is still the caller's.
    pub fn park(&self, generation: Generation) -> Result<Poll, Corrupt> {
        let (old, new) = (generation.0 << 2 | SUBMITTED, generation.0 << 2 | PARKED);
        // AcqRel: what the caller noted for the waiter is visible to whoever sees PARKED, and the reply to
        // a caller that came too late.
        match self.0.compare_exchange(old, new, AcqRel, Acquire) {
            Ok(_) => Ok(Poll::Pending),
            Err(found) => self.check(found, generation),
        }
    }

    fn check(&self, word: u32, generation: Generation) -> Result<Poll, Corrupt> {
        match (word >> 2 == generation.0, word & STATE) {
            (true, SUBMITTED | PARKED) => Ok(Poll::Pending),
            (true, DONE) => Ok(Poll::Done),
            _ => Err(Corrupt { what: "slot state", found: u64::from(word) }),
        }
    }

    /// Publishes the reply that stands in the slot. Only the service calls this.
    pub fn complete(&self, generation: Generation) -> Completion {
        let done = generation.0 << 2 | DONE;
        let mut word = self.0.load(Relaxed);
        loop {
            let completion = match (word >> 2 == generation.0, word & STATE) {
                (true, SUBMITTED) => Completion::Polled,
                (true, PARKED) => Completion::Parked,
                _ => return Completion::Stale,
            };
            // Release publishes the reply; Acquire, on PARKED, what the caller noted.
            match self.0.compare_exchange(word, done, AcqRel, Relaxed) {
                Ok(_) => return completion,
                Err(found) => word = found,
            }
        }
    }

    /// Gives a slot back after its reply was read, or after the service is known to be dead.
    pub fn release(&self) {
        let generation = self.0.load(Relaxed) >> 2;
        self.0.store(generation << 2 | FREE, Release);
    }

    /// True once the reply of whatever use stands in the slot.
    pub fn is_done(&self) -> bool {
        self.0.load(Acquire) & STATE == DONE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_polled_and_a_parked_reply() {
        let word = AtomicU32::new(0);
        let slot = Slot::new(&word);
        let first = slot.submit().unwrap();
        assert_eq!(slot.submit(), None);
        assert_eq!(slot.poll(first), Ok(Poll::Pending));
        assert_eq!(slot.complete(first), Completion::Polled);
        assert_eq!(slot.park(first), Ok(Poll::Done));
        slot.release();

        let second = slot.submit().unwrap();
        assert_eq!(slot.park(second), Ok(Poll::Pending));
        assert_eq!(slot.complete(second), Completion::Parked);
        assert_eq!(slot.poll(second), Ok(Poll::Done));
        assert!(slot.is_done());
        slot.release();
        assert!(!slot.is_done());
    }

    #[test]
    fn a_late_answer_is_dropped_and_a_broken_word_is_noticed() {
        let word = AtomicU32::new(0);
        let slot = Slot::new(&word);
        let old = slot.submit().unwrap();
        slot.release();
        let new = slot.submit().unwrap();
        assert_eq!(slot.complete(old), Completion::Stale);
        assert_eq!(slot.poll(new), Ok(Poll::Pending));
        assert!(slot.poll(old).is_err());
        word.store(new.0 << 2 | FREE, Relaxed);
        assert!(slot.poll(new).is_err());
        word.store(u32::MAX, Relaxed);
        assert!(slot.park(new).is_err());
    }

    #[test]
    fn generations_wrap() {
        let word = AtomicU32::new(u32::MAX << 2);
        let slot = Slot::new(&word);
        assert_eq!(slot.submit(), Some(Generation(0)));
        assert_eq!(slot.complete(Generation(0)), Completion::Polled);
    }
}
