//! Diffs: what a world's cells are now, as far as that is not what they were at an earlier tick.
//!
//! A diff comes from the row stamps alone, so any reader of the world's memory makes it without asking the
//! ticker. Rows that have not changed since are left out, as far as their stamps still say so. A row that still has
//! the version of the earlier tick is compared with it, and only the cells that differ are told; another row is told
//! as a whole. The bytes are those of [`wire::field`].

use shm::rows::Cells;
use thiserror::Error;
use wire::field::Writer;

use crate::error::ReadError;
use crate::world::World;

/// Why there is no diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DiffError {
    /// That tick is still to come.
    #[error("tick {since} is still to come, the world is at {tick}")]
    Future {
        /// The tick asked for.
        since: u64,
        /// The published tick.
        tick: u64,
    },
    /// That tick is before the first state.
    #[error("tick {since} was before the first one that is known, {origin}")]
    TooOld {
        /// The tick asked for.
        since: u64,
        /// The tick of the first state.
        origin: u64,
    },
    /// The world could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl World {
    /// What has changed since tick `since`, in the form of this module.
    pub fn diff(&self, since: u64) -> Result<Vec<u8>, DiffError> {
        let tick = self.tick().map_err(ReadError::from)?;
        if since > tick {
            return Err(DiffError::Future { since, tick });
        }
        let origin = self.origin();
        if since < origin {
            return Err(DiffError::TooOld { since, origin });
        }
        let diff = self.pinned(|pin| {
            let sphere = self.sphere();
            let mut diff = Writer::diff(sphere.frequency(), since, pin.tick);
            let (mut now, mut before) = (Cells::default(), Cells::default());
            for row in 0..sphere.rows() {
                // A stamp that cannot be is for the read to find.
                let unchanged = |stamp| stamp <= since && self.is_stamp(row, pin.tick, stamp);
                if pin.stamp(row).is_some_and(unchanged) {
                    continue;
                }
                self.read_pinned(pin, row, &mut now)?;
                self.check_cells(&now)?;
                let found = pin.read_before(row, since, &mut before);
                let compared = found.is_some_and(|version| self.is_stamp(row, since, version.stamp));
                if compared {
                    self.check_cells(&before)?;
                }
                tell(row, &now, compared.then_some(&before), &mut diff);
            }
            Ok(diff.finish())
        })?;
        Ok(diff)
    }
}

/// Tells a row in the shorter form, if there is anything to tell.
fn tell(row: u32, now: &Cells, before: Option<&Cells>, diff: &mut Writer) {
    let changed: Option<Vec<usize>> = before.map(|before| {
        let cell = |cells: &Cells, n: usize| (cells.codes[n] & 7, cells.amounts[n]);
        (0..now.codes.len()).filter(|&n| cell(now, n) != cell(before, n)).collect()
    });
    match changed {
        Some(changed) if changed.is_empty() => {}
        Some(changed) if Writer::single_bytes(changed.len()) < 3 * now.codes.len() => {
            let cells = changed.iter().map(|&n| (n as u16, now.codes[n] & 7, now.amounts[n]));
            diff.single(row, cells);
        }
        _ => diff.whole(row, now.codes.iter().map(|code| code & 7), now.amounts.iter().copied()),
    }
}
