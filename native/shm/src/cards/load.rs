//! What a successor does before it writes: take in what is published, forget the rest, doubt everything.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::layout::{ABSENT, DATA_BYTES, Extent};
use super::read::{object_len, part_data};
use super::write::clear_from;
use super::{Card, Cards, ReadError, TYPE_SHIFT, is_object, part_key, part_of, parts};
use crate::Corrupt;

/// Steps of probing for each card there is, on average, that no sound table needs.
const STEPS: u64 = 256;

impl Cards {
    /// Gives every object at published tick `published` to `each`, in no order, with the card that it is to be
    /// written by, and forgets what was written for later ticks: those cards are free again. Nobody else writes.
    /// A table of which this says that it is corrupt must not be written.
    pub fn load(&self, published: u64, mut each: impl FnMut(u64, Card, &[u8])) -> Result<(), Corrupt> {
        self.check()?;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.absent.clear();
        let mut steps = self.extents().map(|(_, extent)| extent.capacity() as u64 * STEPS).sum();
        let (mut others, mut told) = (0u64, 0u64);
        for (number, extent) in self.extents() {
            let used = extent.keys().iter().filter(|key| key.load(Relaxed) != 0).count() as u64;
            if used > extent.limit() {
                return Err(Corrupt { what: "cards taken", found: used });
            }
            for slot in 0..extent.capacity() {
                extent.forget(slot, published)?;
                let card = Card { extent: number, slot: slot as u32 };
                others += u64::from(self.check_card(card, published, &mut steps)?);
            }
        }
        for (number, extent) in self.extents() {
            for slot in 0..extent.capacity() {
                let card = Card { extent: number, slot: slot as u32 };
                told += self.load_object(card, published, &mut steps, &mut each)? as u64;
            }
        }
        if told != others {
            return Err(Corrupt { what: "parts of objects", found: others });
        }
        self.extents().for_each(|(_, extent)| put_in_order(extent, published));
        Ok(())
    }

    /// Whether a card is where it is looked for; true if it holds another part than the first of an object.
    fn check_card(&self, card: Card, published: u64, steps: &mut u64) -> Result<bool, Corrupt> {
        let (extent, slot) = self.extent(card);
        let key = extent.key(slot).load(Relaxed);
        let head = extent.read(slot, published).map_err(corrupt)?.head();
        let sound = if key == 0 {
            head == ABSENT
        } else {
            key >> TYPE_SHIFT != 0 && self.find_within(key, steps) == Some(card)
        };
        if !sound {
            return Err(Corrupt { what: "card key", found: key });
        }
        Ok(part_of(key) > 0 && head != ABSENT)
    }

    /// Tells of the object whose part 0 a card holds, if it does; returns how many further parts it has.
    fn load_object(
        &self,
        card: Card,
        published: u64,
        steps: &mut u64,
        each: &mut impl FnMut(u64, Card, &[u8]),
    ) -> Result<usize, Corrupt> {
        let (extent, slot) = self.extent(card);
        let key = extent.key(slot).load(Relaxed);
        if !is_object(key) {
            return Ok(0);
        }
        let first = extent.read(slot, published).map_err(corrupt)?;
        if first.head() == ABSENT {
            return Ok(0);
        }
        let len = object_len(&first)?;
        if len <= DATA_BYTES {
            each(key, card, &first.data()[..len]);
            return Ok(0);
        }
        let mut object = first.data().to_vec();
        for part in 1..parts(len) {
            let key = part_key(key, part);
            let card =
                self.find_within(key, steps).ok_or(Corrupt { what: "part of an object", found: key })?;
            let (extent, slot) = self.extent(card);
            let part = extent.read(slot, published).map_err(corrupt)?;
            object.extend_from_slice(part_data(&part, len - object.len())?);
        }
        each(key, card, &object);
        Ok(parts(len) - 1)
    }
}

/// Counts the keys, and clears what is absent.
fn put_in_order(extent: &Extent, published: u64) {
    let keys = extent.keys();
    let used = keys.iter().filter(|key| key.load(Relaxed) != 0).count();
    extent.used().store(used as u64, Relaxed);
    extent.recycled().fetch_min(published, Relaxed);
    // From a card without a key once round, backwards; a quarter of them has none.
    let Some(start) = keys.iter().position(|key| key.load(Relaxed) == 0) else { return };
    let mut slot = extent.before(start);
    while slot != start {
        if keys[slot].load(Relaxed) != 0 {
            clear_from(extent, slot, published);
        }
        slot = extent.before(slot);
    }
}

fn corrupt(error: ReadError) -> Corrupt {
    match error {
        ReadError::Corrupt(corrupt) => corrupt,
        // Nobody writes, so whoever does is broken.
        ReadError::Overtaken => Corrupt { what: "card stamp", found: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that are all looked for in the same place.
    fn collisions(cards: &Cards) -> impl Iterator<Item = u64> {
        let (_, extent) = cards.extents().next().unwrap();
        let start = move |key| extent.probe(key).next();
        (0..).map(|number| 1 << TYPE_SHIFT | number).filter(move |&key| start(key) == Some(7))
    }

    #[test]
    fn a_table_that_was_made_to_be_slow_is_given_up() {
        let cards = Cards::private(1 << 12).unwrap();
        for key in collisions(&cards).take(1000) {
            cards.put(key, 0, b"x").unwrap();
        }
        let mut objects = 0;
        assert_eq!(cards.load(1, |_, _, _| objects += 1), Ok(()));
        assert_eq!(objects, 1000);
        for key in collisions(&cards).take(3000) {
            cards.put(key, 1, b"x").unwrap();
        }
        assert!(cards.load(2, |_, _, _| ()).is_err());
    }
}
