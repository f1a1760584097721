//! Keyframes and diffs of the field: what a client is told of the cells.
//!
//! Both have one form, little-endian throughout:
//!
//! `"gpk1"` (keyframe) or `"gpd1"` (diff), frequency (u32), since (u64), tick (u64), number of rows (u32), then for
//! each row its number (u32) and its form (u8):
//!
//! - form 0, the whole row: a kind (u8) for each cell, then an amount (u16) for each cell;
//! - form 1, single cells: how many (u16), then for each its column (u16), kind (u8) and amount (u16);
//! - form 2, a run: its first column (u16), how many cells (u16), then their kinds, then their amounts.
//!
//! A keyframe holds the cells of its tick, which is its `since` too; cells it does not name are not known. A diff leads
//! from the cells of any tick in `since..=tick` to those of `tick`.
//!
//! Rows are those of a world of frequency f: `diamond · f + i − 1` with f cells each, then the two poles with one.

mod grid;
mod read;
mod write;

pub use grid::{CHUNK_SIDE, Grid, MAX_FREQUENCY};
pub use read::{Cells, FieldError, Kind, Message, Row, Rows, patch};
pub use write::{Writer, keyframe, split};

/// Ticks stay exact in JavaScript: 2^53 − 1 is the last.
pub const MAX_TICK: u64 = (1 << 53) - 1;

const KEYFRAME: &[u8; 4] = b"gpk1";
const DIFF: &[u8; 4] = b"gpd1";
const WHOLE: u8 = 0;
const SINGLE: u8 = 1;
const RUN: u8 = 2;
/// Where the header says how many rows follow.
const ROWS_AT: usize = 24;
/// Bytes of a single cell.
const CELL: usize = 5;
/// The greatest code of a kind.
const MAX_KIND: u8 = 7;
