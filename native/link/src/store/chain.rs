//! Check values. Each covers the one before it, so what was changed, moved, left out or repeated is noticed by
//! whoever reads over it.
//!
//! A check value is the first 8 bytes of a BLAKE3 hash, as a little-endian integer that SQLite can keep.

use blake3::Hasher;

/// What precedes the first entry and the first mark of a world.
pub fn start(world: &str) -> i64 {
    finish(Hasher::new().update(b"gp_link world ").update(world.as_bytes()))
}

/// Of an entry.
pub fn entry(previous: i64, world: &str, seq: i64, bytes: &[u8]) -> i64 {
    let mut hasher = Hasher::new();
    hasher.update(&previous.to_le_bytes()).update(world.as_bytes()).update(&seq.to_le_bytes()).update(bytes);
    finish(&hasher)
}

/// Of a mark; `entry` is the check value of its last entry.
pub fn mark(previous: i64, world: &str, tick: i64, last_seq: i64, entry: i64) -> i64 {
    let mut hasher = Hasher::new();
    hasher.update(b"mark ").update(&previous.to_le_bytes()).update(world.as_bytes());
    hasher.update(&tick.to_le_bytes()).update(&last_seq.to_le_bytes()).update(&entry.to_le_bytes());
    finish(&hasher)
}

/// Of a row that is changed in place: over its columns, each text and blob with its length.
pub struct Seal(Hasher);

impl Seal {
    /// Of a row of this table.
    pub fn new(table: &str) -> Self {
        let mut seal = Seal(Hasher::new());
        seal.bytes(table.as_bytes());
        seal
    }

    /// Adds a text or a blob.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self
    }

    /// Adds an integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    /// The check value.
    pub fn value(&self) -> i64 {
        finish(&self.0)
    }
}

fn finish(hasher: &Hasher) -> i64 {
    let hash = hasher.finalize();
    i64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes"))
}
