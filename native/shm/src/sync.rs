//! The few operations that the protocols need of an atomic word and of a sleeping thread.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// An atomic word of 32 bits.
pub trait Word32 {
    /// As `AtomicU32::load`.
    fn load(&self, order: Ordering) -> u32;
    /// As `AtomicU32::store`.
    fn store(&self, value: u32, order: Ordering);
    /// As `AtomicU32::swap`.
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// As `AtomicU32::compare_exchange`.
    fn compare_exchange(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32>;
}

/// An atomic word of 64 bits.
pub trait Word64 {
    /// As `AtomicU64::load`.
    fn load(&self, order: Ordering) -> u64;
    /// As `AtomicU64::store`.
    fn store(&self, value: u64, order: Ordering);
}

/// How a thread sleeps on a word, and how another wakes it.
pub trait Parker<W> {
    /// Sleeps while `word` holds `expected`, at most `timeout`. May return early for no reason.
    fn park(&self, word: &W, expected: u32, timeout: Option<Duration>);
    /// Wakes the thread that sleeps on `word`. The word has been changed before.
    fn unpark(&self, word: &W);
    /// A fence that orders the stores before it and the loads after it (`SeqCst`).
    fn fence(&self);
}

impl Word32 for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        AtomicU32::swap(self, value, order)
    }
    fn compare_exchange(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        AtomicU32::compare_exchange(self, old, new, success, failure)
    }
}

impl Word64 for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }
    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order);
    }
}
