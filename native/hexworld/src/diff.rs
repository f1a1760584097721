//! Diffs: what a world's cells are now, as far as that is not what they were at an earlier tick.
//!
//! A diff comes from the row stamps alone, so any reader of the world's memory makes it without asking the
//! ticker. Rows that have not acted since are left out. A row that still has the version of the earlier tick
//! is compared with it, and only the cells that differ are told; another row is told as a whole.
//!
//! `"gpd1"`, frequency (u32), since (u64), tick (u64), number of rows (u32), then for each row its number
//! (u32) and its form (u8):
//!
//! - form 0, the whole row: a kind (u8) for each cell, then an amount (u16) for each cell;
//! - form 1, single cells: how many (u16), then for each its column (u16), kind (u8) and amount (u16).
//!
//! Little-endian throughout. Rows are those of [`crate::topology`]: `diamond · f + i − 1`, then the poles.

use shm::rows::{Cells, MAX_TICK};
use thiserror::Error;

use crate::error::ReadError;
use crate::topology::{Site, Sphere};
use crate::world::World;

const MAGIC: &[u8; 4] = b"gpd1";
const WHOLE: u8 = 0;
const SINGLE: u8 = 1;
const ROWS_AT: usize = 24;

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
    /// The world could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a diff does not fit the planes it is to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// It does not begin like one.
    #[error("this is not a diff: it begins otherwise than \"gpd1\"")]
    Magic,
    /// It is of a world of another size.
    #[error("the diff is of frequency {0}, which has another number of cells than the planes")]
    Frequency(u32),
    /// It ends too early or too late, or names what is not there.
    #[error("the diff is malformed at byte {0}")]
    Malformed(usize),
}

impl World {
    /// What has changed since tick `since`, in the form of this module.
    pub fn diff(&self, since: u64) -> Result<Vec<u8>, DiffError> {
        let tick = self.tick().map_err(ReadError::from)?;
        if since > tick {
            return Err(DiffError::Future { since, tick });
        }
        let diff = self.pinned(|pin| {
            let sphere = self.sphere();
            let mut diff = MAGIC.to_vec();
            diff.extend(sphere.frequency().to_le_bytes());
            diff.extend(since.to_le_bytes());
            diff.extend(pin.tick.to_le_bytes());
            diff.extend([0; 4]);
            let (mut now, mut before) = (Cells::default(), Cells::default());
            let mut rows = 0u32;
            for row in 0..sphere.rows() {
                let stamp = self.since(row, pin.tick);
                if stamp <= since && pin.stamp(row).is_none_or(|found| found == stamp) {
                    continue;
                }
                if self.read_pinned(pin, row, &mut now)? <= since {
                    continue;
                }
                self.check_cells(&now)?;
                let found = pin.read_before(row, since, &mut before);
                let compared = found.is_some_and(|version| version.stamp == self.since(row, since));
                if compared {
                    self.check_cells(&before)?;
                }
                rows += u32::from(tell(row, &now, compared.then_some(&before), &mut diff));
            }
            diff[ROWS_AT..ROWS_AT + 4].copy_from_slice(&rows.to_le_bytes());
            Ok(diff)
        })?;
        Ok(diff)
    }
}

/// Tells a row in the shorter form; false if there is nothing to tell.
fn tell(row: u32, now: &Cells, before: Option<&Cells>, diff: &mut Vec<u8>) -> bool {
    let changed: Option<Vec<usize>> = before.map(|before| {
        let cell = |cells: &Cells, n: usize| (cells.codes[n] & 7, cells.amounts[n]);
        (0..now.codes.len()).filter(|&n| cell(now, n) != cell(before, n)).collect()
    });
    match changed {
        Some(changed) if changed.is_empty() => return false,
        Some(changed) if 2 + 5 * changed.len() < 3 * now.codes.len() => {
            diff.extend(row.to_le_bytes());
            diff.push(SINGLE);
            diff.extend((changed.len() as u16).to_le_bytes());
            for n in changed {
                diff.extend((n as u16).to_le_bytes());
                diff.push(now.codes[n] & 7);
                diff.extend(now.amounts[n].to_le_bytes());
            }
        }
        _ => {
            diff.extend(row.to_le_bytes());
            diff.push(WHOLE);
            diff.extend(now.codes.iter().map(|code| code & 7));
            now.amounts.iter().for_each(|amount| diff.extend(amount.to_le_bytes()));
        }
    }
    true
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PatchError> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let taken = &self.bytes[self.at..end.ok_or(PatchError::Malformed(self.at))?];
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PatchError> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    fn u16(&mut self) -> Result<u16, PatchError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, PatchError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
}

/// Changes planes in id order (amounts as little-endian u16) as a diff says, and returns the tick they are of
/// then. On an error they may be changed in part.
pub fn patch(kinds: &mut [u8], amounts: &mut [u8], diff: &[u8]) -> Result<u64, PatchError> {
    let mut reader = Reader { bytes: diff, at: 0 };
    if reader.take(4).map_err(|_| PatchError::Magic)? != MAGIC {
        return Err(PatchError::Magic);
    }
    let frequency = reader.u32()?;
    let sphere = Sphere::new(frequency).map_err(|_| PatchError::Frequency(frequency))?;
    if sphere.cells() as usize != kinds.len() || amounts.len() != 2 * kinds.len() {
        return Err(PatchError::Frequency(frequency));
    }
    let since = u64::from_le_bytes(reader.array()?);
    let tick = u64::from_le_bytes(reader.array()?);
    if since > tick || tick > MAX_TICK {
        return Err(PatchError::Malformed(8));
    }
    for _ in 0..reader.u32()? {
        let start = reader.at;
        let row = reader.u32()?;
        if row >= sphere.rows() {
            return Err(PatchError::Malformed(start));
        }
        let len = sphere.row_len(row) as usize;
        let first = sphere.cell(Site { row, col: 0 }) as usize;
        match reader.array()? {
            [WHOLE] => {
                let told = reader.take(len)?;
                if told.iter().any(|&kind| kind > 7) {
                    return Err(PatchError::Malformed(start));
                }
                kinds[first..first + len].copy_from_slice(told);
                amounts[2 * first..2 * (first + len)].copy_from_slice(reader.take(2 * len)?);
            }
            [SINGLE] => {
                for _ in 0..reader.u16()? {
                    let at = reader.at;
                    let col = usize::from(reader.u16()?);
                    if col >= len {
                        return Err(PatchError::Malformed(at));
                    }
                    kinds[first + col] = match reader.array()? {
                        [kind @ 0..=7] => kind,
                        _ => return Err(PatchError::Malformed(at)),
                    };
                    amounts[2 * (first + col)..2 * (first + col) + 2].copy_from_slice(reader.take(2)?);
                }
            }
            _ => return Err(PatchError::Malformed(start)),
        }
    }
    if reader.at == diff.len() { Ok(tick) } else { Err(PatchError::Malformed(reader.at)) }
}
