//! Snapshots: a world at one tick as bytes that need nothing else (`gps1`).
//!
//! Little-endian throughout. A header of 112 bytes:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `gps1` |
//! | 4 | 2 | version, 1 |
//! | 6 | 2 | flags, 0 |
//! | 8 | 4 | frequency |
//! | 12 | 8 | tick |
//! | 20 | 8 | seed |
//! | 28 | 32 | hash of the ruleset |
//! | 60 | 32 | canonical digest of the state |
//! | 92 | 4 | number of sections |
//! | 96 | 16 | check: the first bytes of BLAKE3 of all before |
//!
//! Then the sections, each kind (u8), number (u32), raw length (u32), packed length (u32), check (16 bytes) and the
//! packed bytes: an LZ4 block, or the raw bytes if that is not shorter. The check is the first bytes of BLAKE3 of kind,
//! number, raw length and packed bytes, keyed with BLAKE3 of the header and its check: a section of another snapshot,
//! or in another place, does not fit. They come in this order:
//!
//! | kind | number | raw bytes |
//! |---|---|---|
//! | 0 | 0 | the text of the ruleset |
//! | 1 | each chunk | its cells in id order: all kinds (u8), then all amounts (u16) |
//! | 2 | 0, 1, … | objects, ascending by key: key (u64), length (u16), bytes; at most 256 KiB in a section |
//! | 3 | 0 | none: the end, after which nothing comes |
//!
//! Keys and bytes of objects are those of `hexworld`'s `factory/store.rs`: the type in the highest byte of the key
//! (machine 1, owner 2, player 3, outcome 4, world 5), the number in the lowest six.
//!
//! Reading takes no memory that the length of the input or the frequency does not account for, believes nothing that
//! was not checked, and never panics.

mod compare;
mod error;
mod objects;
mod read;
mod write;

pub use compare::{Difference, compare};
pub use error::{Fault, Place, SnapshotError};
pub use objects::{Object, Objects, Records};
pub use read::{Field, Snapshot};
pub use write::{Packed, Seal, TooLarge, write};

/// The version that is written, and the last one that is read.
pub const VERSION: u16 = 1;
/// Most bytes of a ruleset's text.
pub const MAX_RULESET: usize = 1 << 20;
/// Most raw bytes of a section of objects.
pub const MAX_OBJECTS: usize = 1 << 18;
/// Most sections of objects: 4 GiB of them.
pub const MAX_OBJECT_SECTIONS: u32 = 1 << 14;

const MAGIC: &[u8; 4] = b"gps1";
/// Bytes of the header without its check.
const HEADER: usize = 96;
const CHECK: usize = 16;
/// Bytes of a section before the packed ones.
const SECTION: usize = 13 + CHECK;
/// Bytes of an object before its own.
const RECORD: usize = 10;

/// What a snapshot is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Pieces that an edge of the icosahedron is cut in.
    pub frequency: u32,
    /// The tick.
    pub tick: u64,
    /// The seed.
    pub seed: u64,
    /// Hash of the ruleset, whose text is in the snapshot.
    pub ruleset_hash: [u8; 32],
    /// Canonical digest of the state.
    pub digest: [u8; 32],
}

/// Kinds of sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The text of the ruleset.
    Ruleset = 0,
    /// The cells of a chunk.
    Field = 1,
    /// Objects.
    Objects = 2,
    /// The end.
    End = 3,
}

/// The first bytes of a digest.
fn check_of(digest: &blake3::Hash) -> [u8; CHECK] {
    *digest.as_bytes().first_chunk().expect("a digest has 32 bytes")
}

/// The check of a section, with the key that the header gives.
fn section_check(key: &[u8; 32], kind: u8, number: u32, raw_len: u32, packed: &[u8]) -> [u8; CHECK] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&[kind]);
    hasher.update(&number.to_le_bytes());
    hasher.update(&raw_len.to_le_bytes());
    hasher.update(packed);
    check_of(&hasher.finalize())
}
