//! What the writer does: take cards, write them, give them back.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{MutexGuard, PoisonError};

use super::layout::{ABSENT, DATA_BYTES, Extent, Payload};
use super::{Card, Cards, Full, MAX_OBJECT, Writer, is_object, part_key, parts};

impl Cards {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The card of `key`, which is taken now if there is none. The card of an object that is absent is kept for it
    /// until the tick after `published` is published. One call at a time goes on, the others wait.
    ///
    /// # Panics
    ///
    /// If `key` is none of an object.
    pub fn find_or_take(&self, key: u64, published: u64) -> Result<Card, Full> {
        assert!(is_object(key), "{key:#x} is no key of an object");
        self.take(key, published)
    }

    fn take(&self, key: u64, published: u64) -> Result<Card, Full> {
        let mut writer = self.writer();
        if let Some(card) = self.find(key) {
            let (extent, slot) = self.extent(card);
            if extent.absent_since(slot, published).is_some() {
                extent.take(slot, key, published);
                writer.absent.push_back((card, published + 1));
            }
            return Ok(card);
        }
        self.give_back(&mut writer, published);
        for (number, extent) in self.extents().rev() {
            if let Some(slot) = vacancy(extent, key, published) {
                if extent.key(slot).load(Relaxed) == 0 {
                    extent.used().store(extent.used().load(Relaxed) + 1, Relaxed);
                }
                extent.take(slot, key, published);
                let card = Card { extent: number, slot: slot as u32 };
                writer.absent.push_back((card, published + 1));
                return Ok(card);
            }
        }
        Err(Full)
    }

    /// Makes `object` what the object of `card` is from tick `tick + 1`; `tick` is the published one. Distinct
    /// objects may be written at once. A further call in the same tick replaces what the one before wrote. If there
    /// is no room for an object of more than 54 bytes, nothing is changed.
    ///
    /// # Panics
    ///
    /// If `object` is longer than [`MAX_OBJECT`].
    pub fn write(&self, card: Card, tick: u64, object: &[u8]) -> Result<(), Full> {
        let (extent, slot) = self.extent(card);
        let old = latest_len(extent, slot, tick);
        if old <= DATA_BYTES && object.len() <= DATA_BYTES {
            extent.store(slot, tick, &Payload::new(object.len() as u16 + 1, object));
            return Ok(());
        }
        self.write_parts(card, tick, object, parts(old.min(MAX_OBJECT)))
    }

    #[cold]
    fn write_parts(&self, card: Card, tick: u64, object: &[u8], old: usize) -> Result<(), Full> {
        assert!(object.len() <= MAX_OBJECT, "an object of {} bytes", object.len());
        let (first, rest) = object.split_at(object.len().min(DATA_BYTES));
        let (extent, slot) = self.extent(card);
        let key = extent.key(slot).load(Relaxed);
        // All before any: without room nothing has changed.
        let cards = (1..parts(object.len()))
            .map(|part| self.take(part_key(key, part), tick))
            .collect::<Result<Vec<_>, _>>()?;
        self.update(card, tick, &Payload::new(object.len() as u16 + 1, first));
        for (&card, data) in cards.iter().zip(rest.chunks(DATA_BYTES)) {
            self.update(card, tick, &Payload::new(data.len() as u16 + 1, data));
        }
        self.remove_parts(key, tick, 1 + cards.len()..old);
        Ok(())
    }

    fn update(&self, card: Card, tick: u64, payload: &Payload) {
        let (extent, slot) = self.extent(card);
        if !extent.holds(slot, tick, payload) {
            extent.store(slot, tick, payload);
        }
    }

    /// Takes the object of `card` away from tick `tick + 1`; `tick` is the published one. The card is not to be
    /// used after this tick.
    pub fn remove(&self, card: Card, tick: u64) {
        let (extent, slot) = self.extent(card);
        let old = latest_len(extent, slot, tick);
        self.remove_one(card, tick);
        if old > DATA_BYTES {
            self.remove_parts(extent.key(slot).load(Relaxed), tick, 1..parts(old.min(MAX_OBJECT)));
        }
    }

    fn remove_parts(&self, key: u64, tick: u64, parts: std::ops::Range<usize>) {
        for part in parts {
            if let Some(card) = self.find(part_key(key, part)) {
                self.remove_one(card, tick);
            }
        }
    }

    fn remove_one(&self, card: Card, tick: u64) {
        let (extent, slot) = self.extent(card);
        extent.store(slot, tick, &Payload::new(ABSENT, &[]));
        let mut writer = self.writer();
        writer.absent.push_back((card, tick + 1));
        self.give_back(&mut writer, tick);
    }

    /// Writes the object of `key`, as [`find_or_take`](Cards::find_or_take) and [`write`](Cards::write), and leaves
    /// its version in place if it holds this already.
    ///
    /// # Panics
    ///
    /// If `key` is none of an object, or `object` is longer than [`MAX_OBJECT`].
    pub fn put(&self, key: u64, tick: u64, object: &[u8]) -> Result<(), Full> {
        let card = self.find_or_take(key, tick)?;
        let (extent, slot) = self.extent(card);
        self.write_parts(card, tick, object, parts(latest_len(extent, slot, tick).min(MAX_OBJECT)))
    }

    /// Removes the object of `key`, if there is one; as [`remove`](Cards::remove).
    pub fn delete(&self, key: u64, tick: u64) {
        assert!(is_object(key), "{key:#x} is no key of an object");
        if let Some(card) = self.find(key) {
            self.remove(card, tick);
        }
    }

    /// Gives back the cards of objects that are absent at `published`, as far as that cuts no way of probing. Taking
    /// and removing do it too; a writer that does neither for long calls this, so that [`free`](Cards::free) is up
    /// to date.
    pub fn tidy(&self, published: u64) {
        self.give_back(&mut self.writer(), published);
    }

    fn give_back(&self, writer: &mut Writer, published: u64) {
        while let Some(&(card, _)) = writer.absent.front().filter(|(_, absent)| *absent <= published) {
            writer.absent.pop_front();
            let (extent, slot) = self.extent(card);
            clear_from(extent, slot, published);
        }
    }
}

/// Bytes of the object whose part 0 this is, with what was written for `tick + 1`; 0 if it is absent.
fn latest_len(extent: &Extent, slot: usize, tick: u64) -> usize {
    usize::from(extent.head(slot, extent.current(slot, tick + 1))).saturating_sub(1)
}

/// A card for a key that the extent does not have: that of an object which is absent, or one without a key.
fn vacancy(extent: &Extent, key: u64, published: u64) -> Option<usize> {
    for slot in extent.probe(key) {
        if extent.key(slot).load(Relaxed) == 0 {
            return (extent.used().load(Relaxed) < extent.limit()).then_some(slot);
        }
        if extent.absent_since(slot, published).is_some() {
            return Some(slot);
        }
    }
    None
}

/// Clears cards of absent objects from `slot` backwards, as long as the one after has no key.
pub(super) fn clear_from(extent: &Extent, mut slot: usize, published: u64) {
    if extent.key(extent.after(slot)).load(Relaxed) != 0 {
        return;
    }
    for _ in 0..extent.capacity() {
        let absent = extent.absent_since(slot, published);
        let Some(since) = absent.filter(|_| extent.key(slot).load(Relaxed) != 0) else { return };
        extent.clear(slot, since);
        extent.used().store(extent.used().load(Relaxed).saturating_sub(1), Relaxed);
        slot = extent.before(slot);
    }
}
