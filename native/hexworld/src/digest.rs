//! The canonical digest: equal for equal state, whatever computed it.
//!
//! BLAKE3 of `"gpw1"`, frequency (u32), tick (u64), seed (u64), the ruleset's hash (32 bytes) and then
//! the digest of every chunk in order of its number. A chunk's digest is BLAKE3 of its cells in id
//! order, each three bytes: kind (u8) and amount (u16). Little-endian throughout.

use crate::topology::{Chunk, Sphere};
use crate::world::{Busy, World};

/// The bytes before the chunk digests.
pub fn header(sphere: Sphere, tick: u64, seed: u64, ruleset_hash: &[u8; 32]) -> Vec<u8> {
    let mut bytes = b"gpw1".to_vec();
    bytes.extend(sphere.frequency().to_le_bytes());
    bytes.extend(tick.to_le_bytes());
    bytes.extend(seed.to_le_bytes());
    bytes.extend(ruleset_hash);
    bytes
}

impl World {
    /// The digest of the published state.
    pub fn digest(&self) -> Result<[u8; 32], Busy> {
        self.at_rest(|tick| {
            let chunks =
                self.map(self.sphere().chunks(), |n| self.chunk_digest(self.sphere().chunk(n), tick));
            let header = header(self.sphere(), tick, self.options().seed, &self.ruleset_hash());
            let mut hasher = blake3::Hasher::new();
            hasher.update(&header);
            for chunk in chunks {
                hasher.update(&chunk);
            }
            *hasher.finalize().as_bytes()
        })
    }

    fn chunk_digest(&self, chunk: Chunk, tick: u64) -> [u8; 32] {
        let mut bytes = Vec::with_capacity((chunk.rows * chunk.cols * 3) as usize);
        for row in chunk.row..chunk.row + chunk.rows {
            let cells = self.rows.read(row, tick);
            let span = chunk.col as usize..(chunk.col + chunk.cols) as usize;
            for (code, amount) in cells.codes[span.clone()].iter().zip(&cells.amounts[span]) {
                let [low, high] = amount.to_le_bytes();
                bytes.extend([code & 7, low, high]);
            }
        }
        *blake3::hash(&bytes).as_bytes()
    }
}
