//! Writing, and cutting a message of the whole field into those of its chunks.

use std::collections::HashMap;

use super::grid::Grid;
use super::read::{Cells, FieldError, Message, Row};
use super::{CELL, DIFF, KEYFRAME, ROWS_AT, RUN, SINGLE, WHOLE};

/// Writes a message row by row.
#[derive(Debug, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
    rows: u32,
}

impl Writer {
    /// A diff from any tick in `since..=tick`.
    pub fn diff(frequency: u32, since: u64, tick: u64) -> Self {
        Writer::new(DIFF, frequency, since, tick)
    }

    /// A keyframe of a tick.
    pub fn keyframe(frequency: u32, tick: u64) -> Self {
        Writer::new(KEYFRAME, frequency, tick, tick)
    }

    fn new(magic: &[u8; 4], frequency: u32, since: u64, tick: u64) -> Self {
        let mut bytes = magic.to_vec();
        bytes.extend(frequency.to_le_bytes());
        bytes.extend(since.to_le_bytes());
        bytes.extend(tick.to_le_bytes());
        bytes.extend([0; 4]);
        Writer { bytes, rows: 0 }
    }

    fn row(&mut self, row: u32, form: u8) {
        self.rows += 1;
        self.bytes.extend(row.to_le_bytes());
        self.bytes.push(form);
    }

    /// A whole row.
    pub fn whole(&mut self, row: u32, kinds: impl Iterator<Item = u8>, amounts: impl Iterator<Item = u16>) {
        self.row(row, WHOLE);
        self.bytes.extend(kinds);
        amounts.for_each(|amount| self.bytes.extend(amount.to_le_bytes()));
    }

    /// Single cells of a row: column, kind, amount.
    pub fn single(&mut self, row: u32, cells: impl ExactSizeIterator<Item = (u16, u8, u16)>) {
        self.row(row, SINGLE);
        self.bytes.extend((cells.len() as u16).to_le_bytes());
        for (col, kind, amount) in cells {
            self.bytes.extend(col.to_le_bytes());
            self.bytes.push(kind);
            self.bytes.extend(amount.to_le_bytes());
        }
    }

    /// Bytes that single cells of a row take; a whole row takes three each.
    pub fn single_bytes(cells: usize) -> usize {
        2 + CELL * cells
    }

    /// Cells in a row; amounts as bytes.
    fn run(&mut self, row: u32, col: usize, kinds: &[u8], amounts: &[u8]) {
        self.row(row, RUN);
        self.bytes.extend((col as u16).to_le_bytes());
        self.bytes.extend((kinds.len() as u16).to_le_bytes());
        self.bytes.extend(kinds);
        self.bytes.extend(amounts);
    }

    /// The message.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[ROWS_AT..ROWS_AT + 4].copy_from_slice(&self.rows.to_le_bytes());
        self.bytes
    }
}

/// A keyframe of planes in id order (amounts as little-endian u16): of the chunks that are named, or of everything.
/// None if the planes are not of that frequency or a chunk is not there.
pub fn keyframe(
    grid: Grid,
    tick: u64,
    kinds: &[u8],
    amounts: &[u8],
    chunks: Option<&[u32]>,
) -> Option<Vec<u8>> {
    if kinds.len() != grid.cells() || amounts.len() != 2 * kinds.len() {
        return None;
    }
    let mut writer = Writer::keyframe(grid.frequency(), tick);
    let Some(chunks) = chunks else {
        writer.bytes.reserve(3 * kinds.len() + 5 * grid.rows() as usize);
        for row in 0..grid.rows() {
            let cells = grid.first_cell(row)..grid.first_cell(row) + grid.row_len(row);
            writer.row(row, WHOLE);
            writer.bytes.extend(&kinds[cells.clone()]);
            writer.bytes.extend(&amounts[2 * cells.start..2 * cells.end]);
        }
        return Some(writer.finish());
    };
    for &chunk in chunks {
        let (rows, cols) = grid.window(chunk)?;
        for row in rows {
            let first = grid.first_cell(row);
            let cells = first + cols.start..first + cols.end;
            writer.run(row, cols.start, &kinds[cells.clone()], &amounts[2 * cells.start..2 * cells.end]);
        }
    }
    Some(writer.finish())
}

/// Cuts a diff into one for each chunk of `wanted` in which something is told.
pub fn split(diff: &[u8], wanted: &[u32]) -> Result<Vec<(u32, Vec<u8>)>, FieldError> {
    let message = Message::parse(diff)?;
    let grid = message.grid;
    let new = || Writer::diff(grid.frequency(), message.since, message.tick);
    let mut writers: HashMap<u32, Writer> = wanted.iter().map(|&chunk| (chunk, new())).collect();
    for row in message.rows() {
        let Row { row, cells } = row?;
        match cells {
            Cells::Run { col, kinds, amounts } => {
                let mut from = 0;
                while from < kinds.len() {
                    let chunk = grid.chunk_of(row, col + from);
                    // The poles are chunks of one cell, and so are their rows.
                    let side = super::CHUNK_SIDE as usize;
                    let to = kinds.len().min((col + from) / side * side + side - col);
                    if let Some(writer) = writers.get_mut(&chunk) {
                        writer.run(row, col + from, &kinds[from..to], &amounts[2 * from..2 * to]);
                    }
                    from = to;
                }
            }
            Cells::Single(_) => {
                let cells: Vec<_> = cells.singles().collect();
                for cells in cells.chunk_by(|a, b| grid.chunk_of(row, a.0) == grid.chunk_of(row, b.0)) {
                    if let Some(writer) = writers.get_mut(&grid.chunk_of(row, cells[0].0)) {
                        let cells = cells.iter();
                        writer.single(
                            row,
                            cells.map(|&(col, kind, amount)| (col as u16, kind, u16::from_le_bytes(amount))),
                        );
                    }
                }
            }
        }
    }
    let mut parts: Vec<_> = writers
        .into_iter()
        .filter(|(_, writer)| writer.rows > 0)
        .map(|(chunk, writer)| (chunk, writer.finish()))
        .collect();
    parts.sort_unstable_by_key(|&(chunk, _)| chunk);
    Ok(parts)
}
