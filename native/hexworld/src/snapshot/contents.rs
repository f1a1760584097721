//! The state of a world as plain memory, its digest, and its sections.

use rayon::prelude::*;
use shm::Corrupt;
use wire::snapshot::{Header, Packed, Records, Snapshot, SnapshotError, TooLarge};

use super::{helpers, on};
use crate::digest;
use crate::factory::{WORLD_KEY, machine_key, outcome_key, owner_key, player_key};
use crate::topology::{Chunk, Site, Sphere};

/// Keys and canonical bytes of objects, ascending by key once they are sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    bytes: Vec<u8>,
    /// Key, where the bytes begin, and how many.
    index: Vec<(u64, usize, usize)>,
}

impl Objects {
    /// Appends one.
    pub fn push(&mut self, key: u64, bytes: &[u8]) {
        self.index.push((key, self.bytes.len(), bytes.len()));
        self.bytes.extend_from_slice(bytes);
    }

    /// Sorts them; refuses a key that is there twice.
    pub fn sort(&mut self) -> Result<(), Corrupt> {
        self.index.sort_unstable_by_key(|&(key, ..)| key);
        match self.index.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(Corrupt { what: "twice the object", found: pair[0].0 }),
            None => Ok(()),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.of(&self.index)
    }

    /// Those with keys in a range; sorted only.
    fn within(&self, keys: std::ops::Range<u64>) -> impl Iterator<Item = (u64, &[u8])> {
        let start = self.index.partition_point(|&(key, ..)| key < keys.start);
        let len = self.index[start..].partition_point(|&(key, ..)| key < keys.end);
        self.of(&self.index[start..start + len])
    }

    fn of<'a>(&'a self, entries: &'a [(u64, usize, usize)]) -> impl Iterator<Item = (u64, &'a [u8])> {
        entries.iter().map(|&(key, at, len)| (key, &self.bytes[at..at + len]))
    }
}

/// All that a snapshot holds of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub(super) sphere: Sphere,
    /// In id order.
    pub(super) kinds: Vec<u8>,
    pub(super) amounts: Vec<u16>,
    pub(super) objects: Objects,
}

impl Contents {
    /// Of planes in id order and sorted objects; none if the planes are of another sphere.
    pub fn new(sphere: Sphere, kinds: Vec<u8>, amounts: Vec<u16>, objects: Objects) -> Option<Self> {
        let cells = sphere.cells() as usize;
        let fits = kinds.len() == cells && amounts.len() == cells;
        fits.then_some(Contents { sphere, kinds, amounts, objects })
    }

    /// Those of a snapshot.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn of(snapshot: &Snapshot) -> Result<Self, SnapshotError> {
        let sphere =
            Sphere::new(snapshot.header.frequency).expect("a snapshot has a frequency that there is");
        let cells = sphere.cells() as usize;
        let (mut kinds, mut amounts) = (vec![0; cells], vec![0; cells]);
        let pool = helpers(cells);
        // In pieces, so that there are never many unpacked chunks beside the planes.
        let chunks: Vec<u32> = (0..sphere.chunks()).collect();
        for piece in chunks.chunks(1024) {
            let fields = on(pool.as_deref(), || match pool {
                Some(_) => piece.par_iter().map(|&chunk| snapshot.field(chunk)).collect::<Vec<_>>(),
                None => piece.iter().map(|&chunk| snapshot.field(chunk)).collect(),
            });
            for (&chunk, field) in piece.iter().zip(fields) {
                let field = field?;
                let mut cells = field.cells();
                for span in spans(sphere, sphere.chunk(chunk)) {
                    for at in span {
                        let Some((kind, amount)) = cells.next() else { break };
                        (kinds[at as usize], amounts[at as usize]) = (kind, amount);
                    }
                }
            }
        }
        let mut objects = Objects::default();
        snapshot.objects(|key, bytes| {
            objects.push(key, bytes);
            Ok::<(), SnapshotError>(())
        })?;
        Ok(Contents { sphere, kinds, amounts, objects })
    }

    /// Kinds in id order.
    pub fn kinds(&self) -> &[u8] {
        &self.kinds
    }

    /// Amounts in id order.
    pub fn amounts(&self) -> &[u16] {
        &self.amounts
    }

    /// Objects by key.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The canonical digest, and the sections of the field.
    pub(super) fn digest_and_field(
        &self,
        tick: u64,
        seed: u64,
        ruleset_hash: &[u8; 32],
    ) -> ([u8; 32], Vec<Packed>) {
        let both = |chunk| (self.chunk_digest(chunk), Packed::new(self.chunk_bytes(chunk)));
        let (digests, field): (Vec<_>, Vec<_>) = self.map(both).into_iter().unzip();
        (self.digest_of(tick, seed, ruleset_hash, &digests), field)
    }

    /// The canonical digest alone.
    pub fn digest(&self, tick: u64, seed: u64, ruleset_hash: &[u8; 32]) -> [u8; 32] {
        self.digest_of(tick, seed, ruleset_hash, &self.map(|chunk| self.chunk_digest(chunk)))
    }

    fn map<T: Send>(&self, each: impl Fn(Chunk) -> T + Sync + Send) -> Vec<T> {
        let chunks = 0..self.sphere.chunks();
        let pool = helpers(self.kinds.len());
        on(pool.as_deref(), || match pool {
            Some(_) => chunks.into_par_iter().map(|n| each(self.sphere.chunk(n))).collect(),
            None => chunks.map(|n| each(self.sphere.chunk(n))).collect(),
        })
    }

    fn digest_of(&self, tick: u64, seed: u64, ruleset_hash: &[u8; 32], chunks: &[[u8; 32]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&digest::header(self.sphere, tick, seed, ruleset_hash));
        for chunk in chunks {
            hasher.update(chunk);
        }
        let mut people = false;
        for (key, bytes) in self.objects.within(player_key(0)..outcome_key(0, 0)) {
            people = true;
            hasher.update(b"P");
            hasher.update(&(bytes.len() as u32).to_le_bytes());
            hasher.update(bytes);
            let number = (key - player_key(0)) as u32;
            let outcomes = outcome_key(number, 0)..outcome_key(number, 0) + 256;
            for (_, outcome) in self.objects.within(outcomes) {
                hasher.update(outcome);
            }
        }
        if people {
            hasher.update(b"W");
            for (_, bytes) in self.objects.within(WORLD_KEY..WORLD_KEY + 1) {
                hasher.update(bytes);
            }
        }
        *hasher.finalize().as_bytes()
    }

    fn chunk_digest(&self, chunk: Chunk) -> [u8; 32] {
        let mut bytes = Vec::with_capacity((chunk.rows * chunk.cols * 3) as usize);
        for cell in spans(self.sphere, chunk).flatten() {
            let [low, high] = self.amounts[cell as usize].to_le_bytes();
            bytes.extend([self.kinds[cell as usize], low, high]);
        }
        for span in spans(self.sphere, chunk) {
            for (key, machine) in self.objects.within(machine_key(span.start)..machine_key(span.end)) {
                bytes.push(b'M');
                bytes.extend((key as u32).to_le_bytes());
                bytes.extend((machine.len() as u16).to_le_bytes());
                bytes.extend(machine);
            }
        }
        for span in spans(self.sphere, chunk) {
            for (key, owner) in self.objects.within(owner_key(span.start)..owner_key(span.end)) {
                bytes.push(b'O');
                bytes.extend((key as u32).to_le_bytes());
                bytes.extend(owner);
            }
        }
        *blake3::hash(&bytes).as_bytes()
    }

    /// The raw bytes of a section.
    fn chunk_bytes(&self, chunk: Chunk) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((chunk.rows * chunk.cols * 3) as usize);
        for span in spans(self.sphere, chunk) {
            bytes.extend_from_slice(&self.kinds[span.start as usize..span.end as usize]);
        }
        for span in spans(self.sphere, chunk) {
            let amounts = &self.amounts[span.start as usize..span.end as usize];
            amounts.iter().for_each(|amount| bytes.extend(amount.to_le_bytes()));
        }
        bytes
    }

    /// A snapshot of this header. Whether the digest is that of the state is for whoever restores it.
    ///
    /// # Errors
    ///
    /// What is too large for the format.
    pub fn pack(&self, header: &Header, ruleset: &str) -> Result<Vec<u8>, TooLarge> {
        let field = self.map(|chunk| Packed::new(self.chunk_bytes(chunk)));
        self.write(header, ruleset, &field)
    }

    pub(super) fn write(
        &self,
        header: &Header,
        ruleset: &str,
        field: &[Packed],
    ) -> Result<Vec<u8>, TooLarge> {
        let mut records = Records::new();
        self.objects.iter().try_for_each(|(key, bytes)| records.push(key, bytes))?;
        let objects: Vec<_> = records.sections().into_iter().map(Packed::new).collect();
        wire::snapshot::write(header, ruleset, field, &objects)
    }
}

/// The ids of a chunk's cells, row by row.
fn spans(sphere: Sphere, chunk: Chunk) -> impl Iterator<Item = std::ops::Range<u32>> {
    (chunk.row..chunk.row + chunk.rows).map(move |row| {
        let first = sphere.cell(Site { row, col: chunk.col });
        first..first + chunk.cols
    })
}
