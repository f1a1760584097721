//! The few operations that the protocols need of an atomic word and of a sleeping thread.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// A word of 32 bits that can be read.
pub trait Load32 {
    /// As `AtomicU32::load`.
    fn load(&self, order: Ordering) -> u32;
}

/// An atomic word of 32 bits.
pub trait Word32: Load32 {
    /// As `AtomicU32::store`.
    fn store(&self, value: u32, order: Ordering);
    /// As `AtomicU32::swap`.
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// As `AtomicU32::compare_exchange`.
    fn compare_exchange(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32>;
}

/// A word of 64 bits that can be read.
pub trait Load64 {
    /// As `AtomicU64::load`.
    fn load(&self, order: Ordering) -> u64;
}

/// An atomic word of 64 bits.
pub trait Word64: Load64 {
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

impl Load32 for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
}

impl Word32 for AtomicU32 {
    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
    #[inline]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        AtomicU32::swap(self, value, order)
    }
    #[inline]
    fn compare_exchange(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        AtomicU32::compare_exchange(self, old, new, success, failure)
    }
}

impl Load64 for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }
}

impl Word64 for AtomicU64 {
    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order);
    }
}
