//! The canonical digest: equal for equal state, whatever computed it.
//!
//! BLAKE3 of `"gpw1"`, frequency (u32), tick (u64), seed (u64), the ruleset's hash (32 bytes) and then
//! the digest of every chunk in order of its number. A chunk's digest is BLAKE3 of its cells in id
//! order, each three bytes: kind (u8) and amount (u16). Little-endian throughout.

use shm::Corrupt;
use shm::rows::Cells;

use crate::error::WriteError;
use crate::topology::{Chunk, Sphere};
use crate::world::World;

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
    /// The digest of the published state. Only where the world is advanced.
    pub fn digest(&self) -> Result<[u8; 32], WriteError> {
        self.digest_with(|| {}).map(|(_, digest)| digest)
    }

    /// The same with the tick it is of; `progress` is called now and then.
    pub fn digest_with(&self, progress: impl Fn() + Sync) -> Result<(u64, [u8; 32]), WriteError> {
        self.at_rest(|tick| {
            let chunks = self.map(self.sphere().chunks(), |n| {
                progress();
                self.chunk_digest(self.sphere().chunk(n), tick)
            });
            let chunks: Vec<[u8; 32]> = chunks.into_iter().collect::<Result<_, Corrupt>>()?;
            let header = header(self.sphere(), tick, self.options().seed, &self.ruleset_hash());
            let mut hasher = blake3::Hasher::new();
            hasher.update(&header);
            for chunk in chunks {
                hasher.update(&chunk);
            }
            Ok((tick, *hasher.finalize().as_bytes()))
        })
    }

    fn chunk_digest(&self, chunk: Chunk, tick: u64) -> Result<[u8; 32], Corrupt> {
        let mut bytes = Vec::with_capacity((chunk.rows * chunk.cols * 3) as usize);
        let mut cells = Cells::default();
        for row in chunk.row..chunk.row + chunk.rows {
            self.read_at_rest(row, tick, &mut cells)?;
            let span = chunk.col as usize..(chunk.col + chunk.cols) as usize;
            for (code, amount) in cells.codes[span.clone()].iter().zip(&cells.amounts[span]) {
                let [low, high] = amount.to_le_bytes();
                bytes.extend([self.kind(*code, *amount)?, low, high]);
            }
        }
        Ok(*blake3::hash(&bytes).as_bytes())
    }
}
