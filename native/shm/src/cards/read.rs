//! Reading an object while the writer goes on.

use std::sync::atomic::Ordering::Relaxed;

use super::layout::{ABSENT, DATA_BYTES, Payload};
use super::{Card, Cards, MAX_OBJECT, ReadError, is_object, part_key, parts};
use crate::Corrupt;

/// Steps of probing for one card that no sound table needs: extents of 2^20 cards need at most some 160 each. It
/// takes microseconds, so that a reader may look for some hundred.
const STEPS: u64 = 1 << 13;

impl Cards {
    /// Copies the object of `key` as it is at published tick `tick`, in the place of what `object` holds; says
    /// whether there is one. For any reader. While `tick` is the published one this never is
    /// [`Overtaken`](ReadError::Overtaken): if it is, the writer is broken.
    ///
    /// # Panics
    ///
    /// If `key` is none of an object.
    pub fn get(&self, key: u64, tick: u64, object: &mut Vec<u8>) -> Result<bool, ReadError> {
        assert!(is_object(key), "{key:#x} is no key of an object");
        object.clear();
        let Some(card) = self.look_up(key)? else { return self.missing(tick).map(|()| false) };
        let first = self.read(card, tick)?;
        if first.head() == ABSENT {
            return self.missing(tick).map(|()| false);
        }
        let len = object_len(&first)?;
        object.extend_from_slice(&first.data()[..len.min(DATA_BYTES)]);
        for part in 1..parts(len) {
            let key = part_key(key, part);
            let Some(card) = self.look_up(key)? else {
                self.missing(tick)?;
                return Err(Corrupt { what: "part of an object", found: key }.into());
            };
            let more = self.read(card, tick)?;
            if more.head() == ABSENT {
                self.missing(tick)?;
            }
            object.extend_from_slice(part_data(&more, len - object.len())?);
        }
        Ok(true)
    }

    /// Where `key` is, if the way there or to its end is not too long.
    fn look_up(&self, key: u64) -> Result<Option<Card>, Corrupt> {
        let mut steps = STEPS;
        match self.find_within(key, &mut steps) {
            None if steps == 0 => Err(Corrupt { what: "way to a card", found: key }),
            found => Ok(found),
        }
    }

    fn read(&self, card: Card, tick: u64) -> Result<Payload, ReadError> {
        let (extent, slot) = self.extent(card);
        // If the card has gone to another key by now, what it held before cannot be read any more, or is absent.
        extent.read(slot, tick)
    }

    /// Whether what was not found was not there at `tick`, and has not gone to another key since.
    fn missing(&self, tick: u64) -> Result<(), ReadError> {
        // The Acquire of the key that was found instead, or of no key, precedes this.
        if self.extents().any(|(_, extent)| extent.recycled().load(Relaxed) > tick) {
            return Err(ReadError::Overtaken);
        }
        Ok(())
    }
}

/// The length of an object, from its part 0.
pub(super) fn object_len(first: &Payload) -> Result<usize, Corrupt> {
    match usize::from(first.head()).checked_sub(1) {
        Some(len) if len <= MAX_OBJECT => Ok(len),
        _ => Err(Corrupt { what: "length of an object", found: u64::from(first.head()) }),
    }
}

/// What another part holds, if `rest` bytes of the object are left.
pub(super) fn part_data(part: &Payload, rest: usize) -> Result<&[u8], Corrupt> {
    let len = rest.min(DATA_BYTES);
    if usize::from(part.head()) != len + 1 {
        return Err(Corrupt { what: "length of a part", found: u64::from(part.head()) });
    }
    Ok(&part.data()[..len])
}
