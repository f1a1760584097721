//! Bytes in shared memory, copied word by word: the other side may write at any time, so there is never a
//! reference to them.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::{Load64, Word64};

const WORD: usize = size_of::<u64>();

/// Bytes that the other side wrote; their place and length have been checked.
#[derive(Debug)]
pub struct Payload<'a, W> {
    words: &'a [W],
    len: usize,
}

impl<'a, W: Load64> Payload<'a, W> {
    /// The first `len` bytes of `words`, or `None` if they are fewer.
    pub fn new(words: &'a [W], len: usize) -> Option<Self> {
        (len <= words.len() * WORD).then_some(Payload { words, len })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies all of it; `out` has just as many bytes.
    pub fn copy_to(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.len, "bytes");
        let (whole, rest) = out.as_chunks_mut::<WORD>();
        for (bytes, word) in whole.iter_mut().zip(self.words) {
            *bytes = word.load(Relaxed).to_ne_bytes();
        }
        if !rest.is_empty() {
            rest.copy_from_slice(&self.words[self.len / WORD].load(Relaxed).to_ne_bytes()[..rest.len()]);
        }
    }

    /// A copy of all of it.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.copy_to(&mut bytes);
        bytes
    }
}

/// Copies `bytes` to the beginning of `words`; false if they do not fit.
#[must_use]
pub fn write<W: Word64>(words: &[W], bytes: &[u8]) -> bool {
    if bytes.len() > words.len() * WORD {
        return false;
    }
    let (whole, rest) = bytes.as_chunks::<WORD>();
    for (word, bytes) in words.iter().zip(whole) {
        word.store(u64::from_ne_bytes(*bytes), Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(u64::from_ne_bytes(last), Relaxed);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn every_length_comes_back_and_nothing_after_it_is_touched() {
        for len in 0..=32usize {
            let words: Vec<AtomicU64> = (0..4).map(|_| AtomicU64::new(u64::MAX)).collect();
            let bytes: Vec<u8> = (1..=len as u8).collect();
            assert!(write(&words, &bytes));
            assert_eq!(Payload::new(&words, len).unwrap().to_vec(), bytes);
            assert!(words[len.div_ceil(WORD)..].iter().all(|word| word.load(Relaxed) == u64::MAX));
        }
        let words = [AtomicU64::new(0)];
        assert!(!write(&words, &[0; 9]));
        assert!(Payload::new(&words, 9).is_none());
    }
}
