//! The table-driven form. Counting and dice are plain loops over bytes and 16-bit words that the
//! compiler vectorises with whatever the target has; the clause tables are looked up cell by cell.

use super::{RowInput, tables::Tables};
use crate::random::dice_pair;

/// Cells per block; even, and small enough that a block's scratch stays in the first-level cache.
const BLOCK: usize = 256;

pub(super) fn act_row(tables: &Tables, input: RowInput<'_>, codes: &mut [u8], amounts: &mut [u16]) {
    let blocks = codes.chunks_mut(BLOCK).zip(amounts.chunks_mut(BLOCK)).zip(input.amounts.chunks(BLOCK));
    for (n, ((codes, amounts), old)) in blocks.enumerate() {
        let start = n * BLOCK;
        let padded = start..start + codes.len() + 2;
        let (up, mid, down) =
            (&input.up[padded.clone()], &input.mid[padded.clone()], &input.down[padded.clone()]);

        let mut counts = [0; BLOCK];
        count(tables, up, mid, down, &mut counts[..codes.len()]);
        let (mut a, mut b) = ([0; BLOCK], [0; BLOCK]);
        roll(input.key, start, &mut a, &mut b);

        finish(tables, &mid[1..], old, (&counts, &a, &b), codes, amounts);
    }
}

/// Clauses are looked up cell by cell; growth runs over 16-bit lanes; the few cells that change their
/// kind are done again one by one.
#[inline(always)]
fn finish(
    tables: &Tables,
    own: &[u8],
    old: &[u16],
    (counts, a, b): (&[u32; BLOCK], &[u8; BLOCK], &[u8; BLOCK]),
    codes: &mut [u8],
    amounts: &mut [u16],
) {
    let len = codes.len().min(BLOCK);
    let (own, old, codes, amounts) = (&own[..len], &old[..len], &mut codes[..len], &mut amounts[..len]);
    let mut matched = [0u32; BLOCK];
    let (mut add, mut cap, mut ripe, mut fades) =
        ([0i16; BLOCK], [0u16; BLOCK], [0u16; BLOCK], [0u16; BLOCK]);
    for j in 0..len {
        let limits = tables.limits(own[j]);
        matched[j] = tables.clauses(own[j], counts[j], a[j], b[j]) & tables.full(old[j], limits.cap);
        add[j] = tables.add(matched[j]);
        (cap[j], ripe[j], fades[j]) = (limits.cap, limits.ripe, limits.fades);
    }
    let mut turns = [0u16; BLOCK];
    for j in 0..len {
        let (more, less) = (add[j].max(0) as u16, add[j].min(0).unsigned_abs());
        let grown = old[j].saturating_add(more).saturating_sub(less).min(cap[j]);
        amounts[j] = grown;
        codes[j] = (own[j] & 7) | u8::from(grown >= ripe[j]) << 3;
        turns[j] = if grown == 0 { fades[j] } else { 0 };
    }
    for j in 0..len {
        if matched[j] >> 8 | u32::from(turns[j]) != 0 {
            (codes[j], amounts[j]) = tables.turned(own[j] & 7, amounts[j], matched[j]);
        }
    }
}

/// Sums the counters over the six neighbours of each cell of a block.
#[inline(always)]
fn count(tables: &Tables, up: &[u8], mid: &[u8], down: &[u8], counts: &mut [u32]) {
    let mut counted = [[0u32; BLOCK + 2]; 3];
    for (counted, codes) in counted.iter_mut().zip([up, mid, down]) {
        for (sum, &code) in counted.iter_mut().zip(codes) {
            *sum = tables.counted(code);
        }
    }
    let [up, mid, down] = &counted;
    for (j, sum) in counts.iter_mut().enumerate().take(BLOCK) {
        *sum = up[j + 1] + up[j + 2] + mid[j] + mid[j + 2] + down[j] + down[j + 1];
    }
}

/// The dice bytes of a block that starts at the even column `start`.
#[inline(always)]
fn roll(key: u64, start: usize, a: &mut [u8; BLOCK], b: &mut [u8; BLOCK]) {
    let (mut x, mut y) = ([0u16; BLOCK / 2], [0u16; BLOCK / 2]);
    let first = (start / 2) as u16;
    for (m, (x, y)) in x.iter_mut().zip(&mut y).enumerate() {
        (*x, *y) = dice_pair(key, first.wrapping_add(m as u16));
    }
    for (bytes, words) in [(a, &x), (b, &y)] {
        for (pair, word) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(words) {
            *pair = word.to_le_bytes();
        }
    }
}
