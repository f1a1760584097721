//! The entries of the writer under test: the same number has the same bytes.

fn hash(world: &str, seq: i64) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(world.as_bytes()).update(&seq.to_le_bytes());
    hasher.finalize()
}

/// The bytes of an entry: a few, sometimes pages of them.
pub fn bytes(world: &str, seq: i64) -> Vec<u8> {
    let hash = hash(world, seq);
    let len = match hash.as_bytes()[0] {
        0 => 9000,
        1..4 => 700,
        n => usize::from(n) % 60 + 1,
    };
    hash.as_bytes().iter().copied().cycle().take(len).collect()
}

/// The number of the entry after another: they are not dense.
pub fn after(world: &str, seq: i64) -> i64 {
    seq + 1 + i64::from(hash(world, seq).as_bytes()[1] % 3)
}
