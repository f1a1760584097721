//! Changes to single cells within a tick.

use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::fence;

use super::{INVALID, Needed, Rows, layout};

impl Rows {
    /// Changes cells of what `row` is at `tick + 1`: of what was written in this tick, or else of a copy of the
    /// version that is current. Each is a column, a code and an amount. As [`write`](Rows::write).
    ///
    /// # Panics
    ///
    /// If there is no such column.
    pub fn amend(&self, row: u32, tick: u64, needed: Option<Needed>, cells: &[(u32, u8, u16)]) {
        let current = self.current(row, tick);
        let other = 1 - current.index;
        let (stamp, words) = (&self.stamps(row)[other], self.version(row, other));
        // Nobody reads a version of the next tick before that is published, so it may change as it stands.
        let begun = stamp.load(Relaxed) == tick + 1;
        if !begun {
            if let Some(needed) = needed {
                self.save(row, current, needed);
            }
            // As in `write`.
            stamp.store(INVALID, Release);
            fence(Release);
            for (to, from) in words.iter().zip(self.version(row, current.index)) {
                to.store(from.load(Relaxed), Relaxed);
            }
        }
        let len = self.shape.len(row);
        for &(col, code, amount) in cells {
            assert!(col < len, "column {col}");
            layout::store_cell(words, len, col, code, amount);
        }
        if !begun {
            stamp.store(tick + 1, Release);
        }
    }

    /// Forgets what was written for ticks after `published`, which is the published one: a tick that was not
    /// finished begins anew. A successor calls this before it [amends](Rows::amend) rows; nobody else writes.
    pub fn forget(&self, published: u64) {
        for row in 0..self.shape.rows() {
            for stamp in self.stamps(row).iter().filter(|stamp| stamp.load(Relaxed) > published) {
                stamp.store(INVALID, Release);
            }
        }
    }
}
