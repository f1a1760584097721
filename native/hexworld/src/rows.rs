//! World memory: two stamped versions of every row.
//!
//! Each version carries the tick it became valid at. The current version at published tick P is the
//! one with the greatest stamp ≤ P. A tick writes a row into the version that is not current, stamps
//! it P + 1, and one atomic store of the published tick makes all of them current at once. A tick
//! that is abandoned half-way leaves only stamps > P, which nobody reads and the next try overwrites.
//!
//! Readers never wait for a tick: they copy the current version and check its stamp again. The locks
//! make that safe code; they are contended only by a reader that is two ticks behind, and then its
//! stamp has changed and it starts again.

use std::collections::TryReserveError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::topology::Sphere;

/// The stamp of a version that is being written or was never valid.
const INVALID: u64 = u64::MAX;

/// One version of a row: codes (kind, and bit 3 if ripe) and amounts.
#[derive(Debug)]
pub struct Cells {
    /// `kind | ripe << 3` per cell.
    pub codes: Box<[u8]>,
    /// Amount per cell.
    pub amounts: Box<[u16]>,
}

#[derive(Debug)]
struct Row {
    stamps: [AtomicU64; 2],
    versions: [RwLock<Cells>; 2],
}

/// Unlike `vec!`, which ends the process when there is no memory.
fn zeros<T: Default + Clone>(len: usize) -> Result<Vec<T>, TryReserveError> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(len)?;
    zeros.resize(len, T::default());
    Ok(zeros)
}

/// All rows of a world.
#[derive(Debug)]
pub struct Rows {
    published: AtomicU64,
    rows: Vec<Row>,
}

impl Rows {
    /// Rows of zeros, valid from `tick` on; an error if the memory cannot be had.
    pub fn new(sphere: Sphere, tick: u64) -> Result<Self, TryReserveError> {
        let mut rows = Vec::new();
        rows.try_reserve_exact(sphere.rows() as usize)?;
        for row in 0..sphere.rows() {
            let cells = || -> Result<_, TryReserveError> {
                let len = sphere.row_len(row) as usize;
                Ok(RwLock::new(Cells { codes: zeros(len)?.into(), amounts: zeros(len)?.into() }))
            };
            let stamps = [AtomicU64::new(tick), AtomicU64::new(INVALID)];
            rows.push(Row { stamps, versions: [cells()?, cells()?] });
        }
        Ok(Rows { published: AtomicU64::new(tick), rows })
    }

    /// Bytes the rows of a sphere take, both versions and bookkeeping included.
    pub fn bytes(sphere: Sphere) -> u64 {
        const PER_CELL: u64 = 2 * 3;
        let bookkeeping = size_of::<Row>() as u64 + 4 * 16;
        u64::from(sphere.cells()) * PER_CELL + u64::from(sphere.rows()) * bookkeeping
    }

    /// The last published tick.
    pub fn published(&self) -> u64 {
        // Pairs with the Release in `publish`: whoever sees the tick sees the rows stamped with it.
        self.published.load(Ordering::Acquire)
    }

    /// Makes every row stamped `tick` current. Only the one ticker calls this.
    pub fn publish(&self, tick: u64) {
        self.published.store(tick, Ordering::Release);
    }

    /// Index and stamp of the version of `row` that is current at `tick`.
    fn current(&self, row: u32, tick: u64) -> (usize, u64) {
        // Acquire pairs with the Release of `finish`.
        let [a, b] = self.rows[row as usize].stamps.each_ref().map(|stamp| stamp.load(Ordering::Acquire));
        if a <= tick && (b > tick || b < a) { (0, a) } else { (1, b) }
    }

    /// The version of `row` current at `tick`, for the ticker: it must be the one thread group that
    /// writes, at `tick == published()`.
    pub fn read(&self, row: u32, tick: u64) -> RwLockReadGuard<'_, Cells> {
        let (version, _) = self.current(row, tick);
        self.rows[row as usize].versions[version].read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to write the version of `row` that is not current at `tick`.
    pub fn begin(&self, row: u32, tick: u64) -> RwLockWriteGuard<'_, Cells> {
        let (current, _) = self.current(row, tick);
        let guard =
            self.rows[row as usize].versions[1 - current].write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: a reader that gets in before or after sees old cells with the old stamp, or
        // new cells with another stamp.
        self.rows[row as usize].stamps[1 - current].store(INVALID, Ordering::Release);
        guard
    }

    /// Stamps what `begin` returned as valid from `tick + 1`.
    pub fn finish(&self, row: u32, tick: u64, written: RwLockWriteGuard<'_, Cells>) {
        let (current, _) = self.current(row, tick);
        // Before the lock is given back, so that a reader never sees new cells under INVALID.
        self.rows[row as usize].stamps[1 - current].store(tick + 1, Ordering::Release);
        drop(written);
    }

    /// Rewrites the current version of `row` in place. Only before a world is shared.
    pub fn initial(&self, row: u32) -> RwLockWriteGuard<'_, Cells> {
        let (current, _) = self.current(row, self.published());
        self.rows[row as usize].versions[current].write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the cells of `row` at published tick `tick` to `copy`; `None` if a ticker has moved on so
    /// far that they are gone, or is rewriting them: read the published tick anew and try again.
    pub fn try_read<T>(&self, row: u32, tick: u64, copy: impl FnOnce(&Cells) -> T) -> Option<T> {
        let (version, stamp) = self.current(row, tick);
        if stamp > tick {
            return None;
        }
        let slot = &self.rows[row as usize];
        let cells = match slot.versions[version].try_read() {
            Ok(cells) => cells,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return None,
        };
        let copied = copy(&cells);
        // The stamp is only changed under the write lock, so an unchanged one covers the whole copy.
        (slot.stamps[version].load(Ordering::Acquire) == stamp).then_some(copied)
    }
}
