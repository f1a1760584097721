//! What can be wrong with a snapshot, and where.

use std::fmt;

use thiserror::Error;

use super::{Kind, MAX_OBJECT_SECTIONS, VERSION};

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("in {place}, at byte {at}: {fault}")]
pub struct SnapshotError {
    /// The part of the snapshot.
    pub place: Place,
    /// The byte of the snapshot; of what is packed, where that begins.
    pub at: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// A part of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What precedes the sections.
    Header,
    /// A section: its place among all, what should be there, and its number among those of its kind.
    Section(u32, Kind, u32),
    /// What follows the last section.
    After,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match *self {
            Place::Header => write!(f, "the header"),
            Place::Section(n, Kind::Ruleset, _) => write!(f, "section {n} (the ruleset)"),
            Place::Section(n, Kind::Field, chunk) => write!(f, "section {n} (cells of chunk {chunk})"),
            Place::Section(n, Kind::Objects, part) => write!(f, "section {n} (part {part} of the objects)"),
            Place::Section(n, Kind::End, _) => write!(f, "section {n} (the end)"),
            Place::After => write!(f, "what follows the end"),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// It begins otherwise.
    #[error("it does not begin with \"gps1\", so it is no snapshot")]
    Magic,
    /// It is of a later version.
    #[error("version {0} was written by a newer release; this one reads up to version {VERSION}")]
    Newer(u16),
    /// A header that no release wrote.
    #[error("{0} is {1}, which no release writes")]
    Word(&'static str, u64),
    /// It ends too early.
    #[error("{needed} bytes were to come and {found} are left: it was cut short")]
    Short {
        /// Bytes that should be there.
        needed: usize,
        /// Bytes that are.
        found: usize,
    },
    /// It goes on after the end.
    #[error("{0} bytes too many")]
    Long(usize),
    /// Bytes were changed, or belong to another snapshot or another place.
    #[error("the check does not fit the bytes: they were changed, or belong elsewhere")]
    Check,
    /// Another section than the one that must come here.
    #[error("a section of kind {kind} and number {number} cannot come here")]
    Order {
        /// Its kind.
        kind: u8,
        /// Its number.
        number: u32,
    },
    /// There cannot be so many sections.
    #[error("{found} sections; this frequency has {least}, and up to {MAX_OBJECT_SECTIONS} of objects")]
    Sections {
        /// What the header says.
        found: u32,
        /// Those that there must be.
        least: u32,
    },
    /// A section has another length than it may have.
    #[error("{found} bytes of content, where {expected} are expected at most or exactly")]
    Length {
        /// What it says.
        found: usize,
        /// What it may say.
        expected: usize,
    },
    /// Its packed bytes are not.
    #[error("the content cannot be unpacked: {0}")]
    Packed(String),
    /// Text that is none.
    #[error("the text is not UTF-8 from its byte {0} on")]
    Text(usize),
    /// A kind that no ruleset has.
    #[error("cell {0} of the chunk has kind {1}, and there are 8 at most")]
    Cell(usize, u8),
    /// An object that ends after its section.
    #[error("the object at byte {0} of the content is cut short")]
    Object(usize),
    /// A key that is none, or not above the one before it.
    #[error("the object key {0:#018x} cannot come here")]
    Key(u64),
}
