//! A ring of words with one producer and one consumer, each possibly in another process.
//!
//! `head` counts what was taken, `tail` what was put; both only grow and wrap at 2³². The producer owns
//! `tail`, the consumer owns `head`.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use thiserror::Error;

use crate::Corrupt;
use crate::sync::{Load32, Load64, Word32, Word64};

/// The ring has no room; the value comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PushError {
    /// Nothing was taken for a while.
    #[error("the ring is full")]
    Full(u64),
    /// The consumer's counter cannot be.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// A view of the words of a ring: its head, its tail, its entries. Each side needs to write only its own.
#[derive(Debug)]
pub struct Ring<'a, H, T, E> {
    head: &'a H,
    tail: &'a T,
    entries: &'a [E],
}

impl<H, T, E> Clone for Ring<'_, H, T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H, T, E> Copy for Ring<'_, H, T, E> {}

impl<'a, H: Load32, T: Load32, E: Load64> Ring<'a, H, T, E> {
    /// A ring over `entries`, whose number must be a power of two below 2³¹. Fresh words are zero.
    pub fn new(head: &'a H, tail: &'a T, entries: &'a [E]) -> Self {
        assert!(entries.len().is_power_of_two() && entries.len() < 1 << 31, "a power of two");
        Ring { head, tail, entries }
    }

    fn len(&self, head: u32, tail: u32, what: &'static str, found: u32) -> Result<u32, Corrupt> {
        let len = tail.wrapping_sub(head);
        if len as usize > self.entries.len() {
            return Err(Corrupt { what, found: u64::from(found) });
        }
        Ok(len)
    }

    /// Puts a value in. Only the producer calls this.
    pub fn push(&self, value: u64) -> Result<(), PushError>
    where
        T: Word32,
        E: Word64,
    {
        let tail = self.tail.load(Relaxed);
        // Acquire pairs with the Release of `pop`: the entry that is overwritten has been read.
        let head = self.head.load(Acquire);
        if self.len(head, tail, "ring head", head)? as usize == self.entries.len() {
            return Err(PushError::Full(value));
        }
        self.entries[tail as usize & (self.entries.len() - 1)].store(value, Relaxed);
        // Release publishes the entry, and whatever was written for it before.
        self.tail.store(tail.wrapping_add(1), Release);
        Ok(())
    }

    /// Takes the oldest value. Only the consumer calls this.
    pub fn pop(&self) -> Result<Option<u64>, Corrupt>
    where
        H: Word32,
    {
        let head = self.head.load(Relaxed);
        // Acquire pairs with the Release of `push`.
        let tail = self.tail.load(Acquire);
        if self.len(head, tail, "ring tail", tail)? == 0 {
            return Ok(None);
        }
        let value = self.entries[head as usize & (self.entries.len() - 1)].load(Relaxed);
        self.head.store(head.wrapping_add(1), Release);
        Ok(Some(value))
    }

    /// True if there is something to take. Only the consumer calls this.
    pub fn has_some(&self) -> bool {
        self.head.load(Relaxed) != self.tail.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicU32, AtomicU64};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a queue, from counters just below their wrap too.
        #[test]
        fn behaves_like_a_bounded_queue(start in prop_oneof![Just(0u32), Just(u32::MAX - 3), any::<u32>()],
                                        steps in prop::collection::vec(any::<Option<u64>>(), 0..200)) {
            let (head, tail) = (AtomicU32::new(start), AtomicU32::new(start));
            let entries: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
            let ring = Ring::new(&head, &tail, &entries);
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Some(value) if model.len() == 8 => prop_assert_eq!(ring.push(value), Err(PushError::Full(value))),
                    Some(value) => {
                        model.push_back(value);
                        prop_assert_eq!(ring.push(value), Ok(()));
                    }
                    None => prop_assert_eq!(ring.pop(), Ok(model.pop_front())),
                }
                prop_assert_eq!(ring.has_some(), !model.is_empty());
            }
        }

        /// A broken peer may write any counter; what comes back is an error or a value, never a panic.
        #[test]
        fn broken_counters_are_noticed(mine in any::<u32>(), theirs in any::<u32>()) {
            let entries: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
            let (head, tail) = (AtomicU32::new(mine), AtomicU32::new(theirs));
            let ring = Ring::new(&head, &tail, &entries);
            prop_assert_eq!(ring.pop().is_err(), theirs.wrapping_sub(mine) > 8);
            let (head, tail) = (AtomicU32::new(theirs), AtomicU32::new(mine));
            let ring = Ring::new(&head, &tail, &entries);
            let pushed = ring.push(1);
            prop_assert_eq!(matches!(pushed, Err(PushError::Corrupt(_))), mine.wrapping_sub(theirs) > 8);
        }
    }
}
