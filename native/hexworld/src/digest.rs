//! The canonical digest: equal for equal state, whatever computed it.
//!
//! BLAKE3 of `"gpw1"`, frequency (u32), tick (u64), seed (u64), the ruleset's hash (32 bytes) and then
//! the digest of every chunk in order of its number. A chunk's digest is BLAKE3 of its cells in id
//! order, each three bytes: kind (u8) and amount (u16). After these come the machines on them, each `M`, cell
//! (u32), length (u16) and bytes, and whose they are, each `O`, cell, owner and grant (u32). After the chunks
//! come the players by number, each `P`, length (u32), bytes and outcomes by slot, and, if there are any, `W`,
//! how many (u32) and the number of outcomes ever (u64). Little-endian throughout.

use std::ops::Range;

use shm::Corrupt;
use shm::rows::Cells;

use crate::error::WriteError;
use crate::factory::Factory;
use crate::topology::{Chunk, Site, Sphere};
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
        self.at_rest(|tick, factory| {
            let objects = factory.map(Objects::new);
            let chunks = self.map(self.sphere().chunks(), |n| {
                progress();
                self.chunk_digest(self.sphere().chunk(n), tick, objects.as_ref())
            });
            let chunks: Vec<[u8; 32]> = chunks.into_iter().collect::<Result<_, Corrupt>>()?;
            let header = header(self.sphere(), tick, self.options().seed, &self.ruleset_hash());
            let mut hasher = blake3::Hasher::new();
            hasher.update(&header);
            for chunk in chunks {
                hasher.update(&chunk);
            }
            if let Some(factory) = factory {
                hasher.update(&factory.digest_players());
            }
            Ok((tick, *hasher.finalize().as_bytes()))
        })
    }

    fn chunk_digest(&self, chunk: Chunk, tick: u64, objects: Option<&Objects>) -> Result<[u8; 32], Corrupt> {
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
        if let Some(objects) = objects {
            let rows = || {
                (chunk.row..chunk.row + chunk.rows).map(|row| {
                    let first = self.sphere().cell(Site { row, col: chunk.col });
                    first..first + chunk.cols
                })
            };
            for span in rows() {
                let machines = within(&objects.machines, span);
                machines.iter().for_each(|&cell| objects.factory.digest_machine(cell, &mut bytes));
            }
            for span in rows() {
                let owned = within(&objects.owned, span);
                owned.iter().for_each(|&cell| objects.factory.digest_owner(cell, &mut bytes));
            }
        }
        Ok(*blake3::hash(&bytes).as_bytes())
    }
}

/// Where something stands that is digested beside the cells.
struct Objects<'a> {
    factory: &'a Factory,
    machines: Vec<u32>,
    owned: Vec<u32>,
}

impl<'a> Objects<'a> {
    fn new(factory: &'a Factory) -> Self {
        let (machines, owned) = factory.occupied();
        Objects { factory, machines, owned }
    }
}

/// The part of an ascending list that lies in a range.
fn within(list: &[u32], range: Range<u32>) -> &[u32] {
    let start = list.partition_point(|&cell| cell < range.start);
    &list[start..start + list[start..].partition_point(|&cell| cell < range.end)]
}
