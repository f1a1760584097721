//! Cards of a world's objects: what is a few bytes to some hundred, has a key, and may come and go.
//!
//! A table lies in one or several *extents*, each a segment of its own:
//!
//! | offset | what |
//! |---|---|
//! | 0 | header |
//! | 64 | capacity (u32): how many cards it has, a power of two |
//! | 128 | cards taken: keys that are not 0 (u64) |
//! | 136 | *recycled* (u64): see below |
//! | 192 | the keys (u64 each), 0 for a card that has none |
//! | next 128 | for each card two versions of 64 bytes: stamp (u64), head (u16), 54 bytes of the object |
//!
//! **Keys.** Bits 56…63 of an object's key are its type, at least 1; bits 0…47 are its number. Bits 48…55 are 0 in
//! a key of an object and say in the table which *part* a card holds: 54 bytes go into a part, so at most 13 824
//! into an object. The head of part 0 is the length of the object plus 1, that of another part the length of the
//! part plus 1, and 0 is *absent*. Zeros are an empty table.
//!
//! **Finding.** Each extent is a hash table with linear probing, three quarters full at most. A key is in one
//! extent; a look-up begins with the newest, and a new key goes to the newest that has room.
//!
//! **Versions** are those of [`rows`](crate::rows): the one with the greatest stamp ≤ the published tick P is
//! current, a tick writes the other and stamps it P + 1, and a writer that dies half-way leaves only stamps that
//! its successor forgets ([`Cards::load`]). A part whose bytes stay the same keeps its version.
//!
//! **Taking and giving back.** An object that is removed leaves a card that says so. Once that is published, the
//! card may go to another key, or lose its key if the card after it has none, so that no way of probing is cut.
//! A reader that asks for an earlier tick may then miss an object that was there. So before a card goes, the
//! extent notes since when its object is absent, if that is later than what it noted before (*recycled*), and a
//! reader that misses an object for a tick before that is [`Overtaken`](ReadError::Overtaken). At the published tick it
//! never is.
//!
//! Whoever writes keeps to one thread for each object; readers are any threads and processes.

mod layout;
mod load;
mod read;
mod scan;
mod write;

use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Mutex, OnceLock};

use thiserror::Error;

use crate::header::HeaderError;
use crate::{Corrupt, CreateError, OutOfBounds, Segment};
use layout::{DATA_BYTES, Extent};

pub use crate::rows::ReadError;

/// Most extents of a table.
pub const MAX_EXTENTS: usize = 16;

/// Most bytes of an object.
pub const MAX_OBJECT: usize = PARTS * DATA_BYTES;

/// Most parts of an object.
const PARTS: usize = 256;
const PART_SHIFT: u32 = 48;
const TYPE_SHIFT: u32 = 56;

/// Why a table cannot be made or taken.
#[derive(Debug, Error)]
pub enum CardsError {
    /// The header is not that of cards.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// No memory.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// A segment is too short.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// No extent has so many cards.
    #[error("{0} cards, an extent has a power of two from 8 to 2^24")]
    Capacity(u64),
    /// There are too many extents, or none.
    #[error("{0} extents, a table has 1 to {MAX_EXTENTS}")]
    Extents(usize),
}

impl CardsError {
    /// As [`CreateError::out_of_files`].
    pub fn out_of_files(&self) -> bool {
        matches!(self, CardsError::Create(error) if error.out_of_files())
    }
}

/// No extent has room for another key: make one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no card is left in any extent")]
pub struct Full;

/// Where an object is. Good until the object is removed. In memory they lie in order: writing many objects in the
/// order of their cards is faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Card {
    extent: u32,
    slot: u32,
}

/// A table of objects. One thread group writes; any thread and any process that has the segments reads.
#[derive(Debug)]
pub struct Cards {
    /// Oldest first; it only grows.
    extents: [OnceLock<Extent>; MAX_EXTENTS],
    /// Whoever takes or gives back cards.
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    /// Cards that may be absent, and the tick from which they can be given back.
    absent: VecDeque<(Card, u64)>,
}

impl Cards {
    /// An empty table that only this process sees. `capacity` is rounded up to a power of two; three quarters of
    /// that can be taken.
    pub fn private(capacity: usize) -> Result<Self, CardsError> {
        Ok(Self::of(Extent::new(capacity, false)?))
    }

    /// The same in memory that can be handed to another process.
    pub fn shared(capacity: usize) -> Result<Self, CardsError> {
        Ok(Self::of(Extent::new(capacity, true)?))
    }

    fn of(extent: Extent) -> Self {
        let mut extents = [const { OnceLock::new() }; MAX_EXTENTS];
        extents[0] = extent.into();
        Cards { extents, writer: Mutex::default() }
    }

    /// Takes the extents of a table that another process made, oldest first. To write, [`load`](Cards::load) it
    /// first.
    pub fn open(segments: Vec<Segment>) -> Result<Self, CardsError> {
        if !(1..=MAX_EXTENTS).contains(&segments.len()) {
            return Err(CardsError::Extents(segments.len()));
        }
        let extents = [const { OnceLock::new() }; MAX_EXTENTS];
        for (place, segment) in extents.iter().zip(segments) {
            let _ = place.set(Extent::open(segment)?);
        }
        Ok(Cards { extents, writer: Mutex::default() })
    }

    /// Adds an extent of twice the cards of the last, in memory like that of the first, and returns it to be
    /// handed over. Whoever writes must have it before it writes on, readers before that is published.
    pub fn extend(&self) -> Result<&Segment, CardsError> {
        let (shared, capacity) =
            self.extents().last().map_or((false, 0), |(_, last)| (last.is_shared(), last.capacity()));
        self.add(Extent::new(2 * capacity, shared)?)
    }

    /// Adds an extent that another process made.
    pub fn attach(&self, segment: Segment) -> Result<(), CardsError> {
        self.add(Extent::open(segment)?).map(drop)
    }

    fn add(&self, extent: Extent) -> Result<&Segment, CardsError> {
        let mut extent = Some(extent);
        for place in &self.extents {
            let added = place.get_or_init(|| extent.take().expect("it is put into one place"));
            if extent.is_none() {
                return Ok(added.segment());
            }
        }
        Err(CardsError::Extents(MAX_EXTENTS + 1))
    }

    /// The memory, oldest first, to be handed over.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.extents().map(|(_, extent)| extent.segment())
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> u64 {
        self.segments().map(|segment| segment.len() as u64).sum()
    }

    /// How many more cards can certainly be taken. An object takes one for each 54 bytes begun.
    pub fn free(&self) -> u64 {
        self.extents().map(|(_, extent)| extent.limit().saturating_sub(extent.used().load(Relaxed))).sum()
    }

    /// Whether the headers are still what they were.
    pub fn check(&self) -> Result<(), Corrupt> {
        self.extents().try_for_each(|(_, extent)| extent.check())
    }

    fn extents(&self) -> impl DoubleEndedIterator<Item = (u32, &Extent)> {
        let count = self.extents.iter().take_while(|extent| extent.get().is_some()).count();
        (0..count).filter_map(|n| Some((n as u32, self.extents[n].get()?)))
    }

    fn extent(&self, card: Card) -> (&Extent, usize) {
        let extent = self.extents[card.extent as usize].get().expect("a card is made from its extent");
        (extent, card.slot as usize)
    }

    /// Where `key` is.
    fn find(&self, key: u64) -> Option<Card> {
        self.find_within(key, &mut u64::MAX.clone())
    }

    /// Where `key` is, newest extent first. Takes its steps from `steps`; without any left it is not found.
    fn find_within(&self, key: u64, steps: &mut u64) -> Option<Card> {
        for (number, extent) in self.extents().rev() {
            let keys = extent.keys();
            for slot in extent.probe(key) {
                *steps = steps.checked_sub(1)?;
                // Acquire pairs with the Release in `take` and `clear`.
                match keys[slot].load(Acquire) {
                    0 => break,
                    found if found == key => return Some(Card { extent: number, slot: slot as u32 }),
                    _ => {}
                }
            }
        }
        None
    }
}

/// The key of a part of an object.
fn part_key(key: u64, part: usize) -> u64 {
    key | (part as u64) << PART_SHIFT
}

fn part_of(key: u64) -> usize {
    (key >> PART_SHIFT) as usize % PARTS
}

/// Whether this can be the key of an object.
pub fn is_object(key: u64) -> bool {
    key >> TYPE_SHIFT != 0 && part_of(key) == 0
}

/// How many parts an object of so many bytes has, each in a card of its own.
pub fn parts(len: usize) -> usize {
    len.div_ceil(DATA_BYTES).max(1)
}
