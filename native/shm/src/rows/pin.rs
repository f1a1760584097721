//! The pin: one long read of a whole tick while the writer goes on.
//!
//! The reader writes down the tick and a fresh token, and looks whether that tick is still the published one;
//! the writer looks for a token when it begins a tick, after it has published the one before. Both put a
//! `SeqCst` fence between their store and their load, so the writer knows of the pin before it can overwrite
//! what the pin needs (Dekker's pattern, as in `bell`). From then on, before it overwrites the version that is
//! current at the pinned tick, it saves it to the side buffer. If that is full, or the lease has run out, it
//! breaks the pin instead of waiting: the reader finds its token gone and starts again.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use thiserror::Error;

use super::{Cells, ReadError, Rows, Version, layout};
use crate::Corrupt;

const TOKEN: usize = 0;
const TICK: usize = 1;
const LEASE: usize = 2;
const GIVEN: usize = 3;
/// How often a reader takes the published tick anew before it gives up.
const TRIES: usize = 64;

/// Why the pin was not had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PinError {
    /// Another read has it.
    #[error("another long read is under way")]
    Taken,
    /// The writer is broken.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// What a pin needs, as the writer found it when it began a tick.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    token: u32,
    tick: u64,
}

/// A published tick that stays readable. Dropping it lets the writer go on without saving.
#[derive(Debug)]
pub struct Pin<'a> {
    rows: &'a Rows,
    token: u32,
    /// The tick.
    pub tick: u64,
}

/// Nanoseconds of the monotonic clock, which all processes share.
fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    now.as_nanos() as u64
}

impl Rows {
    fn pin_words(&self) -> &[AtomicU64] {
        self.words64(layout::PIN_AT, 4)
    }

    /// Pins the published tick for at most `lease`, which is the same for all readers.
    pub fn pin(&self, lease: Duration) -> Result<Pin<'_>, PinError> {
        let words = self.pin_words();
        let until = now().saturating_add(lease.as_nanos() as u64);
        for _ in 0..TRIES {
            let tick = self.published()?;
            // Never 0, which means *free*.
            let token = (words[GIVEN].fetch_add(1, Relaxed) as u32).wrapping_add(1).max(1);
            let holder = words[TOKEN].load(Relaxed);
            // A lease that ran out under a writer at rest is not broken by it; one that is longer than anybody
            // is given was written by a broken one.
            if holder != 0 && (now()..=until).contains(&words[LEASE].load(Relaxed)) {
                return Err(PinError::Taken);
            }
            // The token takes the pin only after tick and lease are written, under a mark that no
            // writer acts on.
            if words[TOKEN].compare_exchange(holder, MARK, AcqRel, Relaxed).is_err() {
                return Err(PinError::Taken);
            }
            words[TICK].store(tick, Relaxed);
            words[LEASE].store(until, Relaxed);
            words[TOKEN].store(u64::from(token), Release);
            fence(SeqCst);
            let pin = Pin { rows: self, token, tick };
            if self.published()? == tick {
                return Ok(pin);
            }
        }
        Err(PinError::Taken)
    }

    /// What a reader has pinned. The writer asks this when it begins a tick, after publishing the one before.
    pub fn needed(&self) -> Option<Needed> {
        fence(SeqCst);
        let words = self.pin_words();
        let token = words[TOKEN].load(Acquire);
        if token == 0 || token == MARK {
            return None;
        }
        if words[LEASE].load(Relaxed) < now() {
            self.unpin(token);
            return None;
        }
        Some(Needed { token: token as u32, tick: words[TICK].load(Relaxed) })
    }

    fn unpin(&self, token: u64) {
        // Fails if the pin is broken, or another's by now.
        let _ = self.pin_words()[TOKEN].compare_exchange(token, 0, AcqRel, Relaxed);
    }

    fn saved(&self, row: u32) -> &AtomicU64 {
        self.word64(self.shape.entry_at(row) + 16)
    }

    /// Called before the other version than `current` is overwritten: saves it if the pin needs it.
    pub(super) fn save(&self, row: u32, current: Version, needed: Needed) {
        let other = Version { index: 1 - current.index, stamp: self.load_stamps(row)[1 - current.index] };
        if other.stamp > needed.tick || current.stamp <= needed.tick {
            return;
        }
        let Some(slot) = self.saved_slot(needed) else { return self.unpin(u64::from(needed.token)) };
        let (from, len) = (self.version(row, other.index), self.shape.len(row));
        let to = self.words64(self.shape.saved_at(slot), layout::row_words(len));
        // Pairs with the fence in `Pin::read`: who sees this copy in an old pin's slot sees that the pin is gone.
        fence(Release);
        for (to, from) in to.iter().zip(from) {
            to.store(from.load(Relaxed), Relaxed);
        }
        // Release publishes the copy.
        self.saved(row).store(u64::from(needed.token) << 32 | u64::from(slot), Release);
    }

    /// A fresh slot of the side buffer for this pin: its counter begins anew with each token.
    fn saved_slot(&self, needed: Needed) -> Option<u32> {
        let counter = self.word64(layout::PIN_AT + 32);
        let fresh = u64::from(needed.token) << 32;
        let slot = counter
            .fetch_update(Relaxed, Relaxed, |word| {
                Some(if word >> 32 == u64::from(needed.token) { word + 1 } else { fresh + 1 })
            })
            .map_or(0, |word| if word >> 32 == u64::from(needed.token) { word as u32 } else { 0 });
        (slot < self.shape.saved).then_some(slot)
    }
}

/// A token under construction.
const MARK: u64 = u64::MAX;

impl Pin<'_> {
    /// Copies `row` as it is at the pinned tick, and says since when. The copy in the side buffer does not
    /// say.
    pub fn read(&self, row: u32, cells: &mut Cells) -> Result<Option<Version>, ReadError> {
        if let Ok(version) = self.rows.read(row, self.tick, cells) {
            return Ok(Some(version));
        }
        // Acquire pairs with the Release of `save`.
        let saved = self.rows.saved(row).load(Acquire);
        let slot = saved as u32;
        if saved >> 32 != u64::from(self.token) {
            return Err(self.rows.fault(row));
        }
        if slot >= self.rows.shape.saved {
            return Err(Corrupt { what: "saved row", found: u64::from(slot) }.into());
        }
        let len = self.rows.shape.len(row);
        let words = self.rows.words64(self.rows.shape.saved_at(slot), layout::row_words(len));
        layout::load(words, len as usize, cells);
        fence(Acquire);
        self.held()?;
        Ok(None)
    }

    /// Copies `row` as it was at `tick`, before the pinned tick, if that version is still there.
    pub fn read_before(&self, row: u32, tick: u64, cells: &mut Cells) -> Option<Version> {
        self.rows.read(row, tick, cells).ok()
    }

    /// The stamp of `row` at the pinned tick, as far as its versions tell; `None` if they are newer.
    pub fn stamp(&self, row: u32) -> Option<u64> {
        let version = self.rows.find(row, self.tick)?;
        // The two stamps are not looked at in one: an older one may be taken for the current one's.
        self.rows.unchanged(row, version).then_some(version.stamp)
    }

    fn held(&self) -> Result<(), ReadError> {
        let token = self.rows.pin_words()[TOKEN].load(Relaxed);
        if token == u64::from(self.token) { Ok(()) } else { Err(ReadError::Overtaken) }
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.rows.unpin(u64::from(self.token));
    }
}
