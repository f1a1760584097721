//! Where what stands in a world segment, and how cells become words.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::Cells;
use crate::header::HEADER_BYTES;

const LINE: usize = 64;
pub const SHAPE_AT: usize = HEADER_BYTES;
pub const READY_AT: usize = SHAPE_AT + 16;
pub const PUBLISHED_AT: usize = 2 * LINE;
pub const PIN_AT: usize = 3 * LINE;
const ENTRIES_AT: usize = 4 * LINE;
/// Two stamps, where the pin's copy is, and 8 bytes that keep entries from sharing cache lines unevenly.
const ENTRY_BYTES: usize = 32;

/// How many of what a world segment has: `long` rows of `len` cells, then `single` rows of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Long rows.
    pub long: u32,
    /// Cells of a long row.
    pub len: u32,
    /// Rows of one cell, which come after the long ones.
    pub single: u32,
    /// Rows that fit the side buffer of the pin.
    pub saved: u32,
}

impl Shape {
    /// A shape with a side buffer of a sixteenth of the rows.
    pub fn new(long: u32, len: u32, single: u32) -> Self {
        Shape { long, len, single, saved: long / 16 + 16 }
    }

    pub(super) fn words(self) -> [u32; 4] {
        [self.long, self.len, self.single, self.saved]
    }

    pub(super) fn from_words([long, len, single, saved]: [u32; 4]) -> Self {
        Shape { long, len, single, saved }
    }

    /// Rows.
    pub fn rows(self) -> u32 {
        self.long + self.single
    }

    /// Cells of a row.
    pub fn len(self, row: u32) -> u32 {
        if row < self.long { self.len } else { 1 }
    }

    /// True if there are no cells.
    pub fn is_empty(self) -> bool {
        self.rows() == 0
    }

    pub(super) fn entry_at(self, row: u32) -> usize {
        ENTRIES_AT + row as usize * ENTRY_BYTES
    }

    pub(super) fn version_at(self, row: u32, index: usize) -> usize {
        let long = row.min(self.long) as usize * 2 * row_bytes(self.len);
        let single = row.saturating_sub(self.long) as usize * 2 * row_bytes(1);
        self.entry_at(self.rows()).next_multiple_of(LINE) + long + single + index * row_bytes(self.len(row))
    }

    pub(super) fn saved_at(self, slot: u32) -> usize {
        self.version_at(self.rows(), 0) + slot as usize * row_bytes(self.len)
    }

    /// Bytes of a segment of this shape.
    pub fn bytes(self) -> usize {
        self.saved_at(self.saved)
    }
}

/// Words of the codes of a row.
pub fn code_words(len: u32) -> usize {
    (len as usize).div_ceil(8)
}

/// Words of a version of a row.
pub fn row_words(len: u32) -> usize {
    code_words(len) + (len as usize).div_ceil(4)
}

/// Bytes from one version to the next: whole cache lines.
fn row_bytes(len: u32) -> usize {
    (row_words(len) * size_of::<u64>()).next_multiple_of(LINE)
}

pub fn load_codes(words: &[AtomicU64], codes: &mut [u8]) {
    let (whole, rest) = codes.as_chunks_mut::<8>();
    for (word, codes) in words.iter().zip(&mut *whole) {
        *codes = word.load(Relaxed).to_le_bytes();
    }
    if !rest.is_empty() {
        let bytes = words[whole.len()].load(Relaxed).to_le_bytes();
        rest.copy_from_slice(&bytes[..rest.len()]);
    }
}

pub fn load_amounts(words: &[AtomicU64], amounts: &mut [u16]) {
    let split = |word: &AtomicU64| {
        let word = word.load(Relaxed);
        [word as u16, (word >> 16) as u16, (word >> 32) as u16, (word >> 48) as u16]
    };
    let (whole, rest) = amounts.as_chunks_mut::<4>();
    for (word, amounts) in words.iter().zip(&mut *whole) {
        *amounts = split(word);
    }
    if !rest.is_empty() {
        rest.copy_from_slice(&split(&words[whole.len()])[..rest.len()]);
    }
}

pub fn store_codes(words: &[AtomicU64], codes: &[u8]) {
    let (whole, rest) = codes.as_chunks::<8>();
    for (word, codes) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*codes), Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(u64::from_le_bytes(last), Relaxed);
    }
}

pub fn store_amounts(words: &[AtomicU64], amounts: &[u16]) {
    let join =
        |[a, b, c, d]: [u16; 4]| u64::from(a) | u64::from(b) << 16 | u64::from(c) << 32 | u64::from(d) << 48;
    let (whole, rest) = amounts.as_chunks::<4>();
    for (word, amounts) in words.iter().zip(whole) {
        word.store(join(*amounts), Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(join(last), Relaxed);
    }
}

/// The amount of one cell of a version of `len` cells.
pub fn load_amount(words: &[AtomicU64], len: u32, col: u32) -> u16 {
    let word = words[code_words(len) + col as usize / 4].load(Relaxed);
    (word >> (16 * (col % 4))) as u16
}

/// Changes one cell of a version of `len` cells; nobody else writes the version.
pub fn store_cell(words: &[AtomicU64], len: u32, col: u32, code: u8, amount: u16) {
    let put = |word: &AtomicU64, mask: u64, value: u64, shift: u32| {
        word.store(word.load(Relaxed) & !(mask << shift) | value << shift, Relaxed);
    };
    put(&words[col as usize / 8], 0xff, code.into(), 8 * (col % 8));
    put(&words[code_words(len) + col as usize / 4], 0xffff, amount.into(), 16 * (col % 4));
}

/// Copies a version of `len` cells.
pub fn load(words: &[AtomicU64], len: usize, cells: &mut Cells) {
    cells.codes.resize(len, 0);
    cells.amounts.resize(len, 0);
    load_codes(words, &mut cells.codes);
    load_amounts(&words[code_words(len as u32)..], &mut cells.amounts);
}
