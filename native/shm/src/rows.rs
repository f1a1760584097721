//! A world segment: two stamped versions of every row of cells.
//!
//! | offset | what |
//! |---|---|
//! | 0 | header, with the fence generation |
//! | 64 | long rows, their length, single-cell rows, saved rows of the side buffer (u32 each), then *ready* |
//! | 128 | the published tick, with check bits |
//! | 192 | the pin: token, tick, lease, tokens given, rows saved (u64 each) |
//! | 256 | for each row: two stamps, where the pin's copy is, 8 bytes to spare |
//! | then | for each row: two versions, each codes (a byte a cell) and amounts (two), both padded to 8 bytes |
//! | then | the side buffer of the pin: rows in the same form |
//!
//! Each version carries the tick it became valid at. The current version at published tick P is the one with
//! the greatest stamp ≤ P. A tick writes a row into the version that is not current, stamps it P + 1, and one
//! atomic store of the published tick makes all of them current at once. A writer that dies half-way leaves
//! only stamps > P, which nobody reads and its successor overwrites: nothing is torn, nothing needs repair.
//!
//! Readers never wait for a tick: they copy a version and look at its stamp again (a seqlock for each
//! version). All memory is accessed as atomic words, so a race is a stale value and never undefined, whoever
//! wrote it. `pin` holds what a long read needs.

mod amend;
mod layout;
mod pin;

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use thiserror::Error;

use crate::header::{self, HeaderError, Kind};
use crate::{Corrupt, CreateError, OutOfBounds, Segment};

pub use layout::Shape;
pub use pin::{Needed, Pin, PinError};

/// The stamp of a version that is being written or was never valid.
const INVALID: u64 = u64::MAX;

/// The last tick that can be published, 2⁵³ − 1; the bits above it check it.
pub const MAX_TICK: u64 = (1 << 53) - 1;

/// Why a world segment cannot be used.
#[derive(Debug, Error)]
pub enum RowsError {
    /// Its header is not that of a world.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// It is too short.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// It holds a world of another shape.
    #[error("the segment holds {found:?}, expected {expected:?}")]
    Shape {
        /// What was expected.
        expected: Shape,
        /// What was found.
        found: Shape,
    },
}

impl RowsError {
    /// As [`CreateError::out_of_files`].
    pub fn out_of_files(&self) -> bool {
        matches!(self, RowsError::Create(error) if error.out_of_files())
    }
}

/// Why a row was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The writer has moved on: what was asked for is gone. Take the published tick anew.
    #[error("the row has been overwritten")]
    Overtaken,
    /// The writer is broken.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// The segment was fenced off: another process writes it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("another process writes this world now")]
pub struct Fenced;

/// The cells of a row: codes and amounts, one of each for every cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cells {
    /// A byte a cell.
    pub codes: Vec<u8>,
    /// Amount of each cell.
    pub amounts: Vec<u16>,
}

/// A version of a row with the tick it became valid at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    index: usize,
    /// The tick it became valid at.
    pub stamp: u64,
}

/// All rows of a world. One thread group writes; any thread and any process that has the segment reads.
#[derive(Debug)]
pub struct Rows {
    segment: Segment,
    shape: Shape,
    /// The fence generation under which this process may write.
    generation: u32,
}

impl Rows {
    /// Rows of zeros at tick 0 that only this process sees.
    pub fn private(shape: Shape) -> Result<Self, RowsError> {
        Self::initialise(Segment::private(shape.bytes())?, shape)
    }

    /// Rows of zeros at tick 0 in memory that can be handed to another process.
    pub fn shared(shape: Shape) -> Result<Self, RowsError> {
        Self::initialise(Segment::create(c"game_platform_world", shape.bytes())?, shape)
    }

    fn initialise(segment: Segment, shape: Shape) -> Result<Self, RowsError> {
        for (word, value) in segment.words32(layout::SHAPE_AT, 4)?.iter().zip(shape.words()) {
            word.store(value, Relaxed);
        }
        let rows = Rows { segment, shape, generation: 0 };
        for row in 0..shape.rows() {
            rows.stamps(row)[1].store(INVALID, Relaxed);
        }
        rows.word64(layout::PUBLISHED_AT).store(seal(0), Relaxed);
        header::publish(&rows.segment, Kind::World)?;
        Ok(rows)
    }

    /// Takes a segment of this shape that another process made, and may write it from now on until it is
    /// fenced off.
    pub fn open(segment: Segment, shape: Shape) -> Result<Self, RowsError> {
        header::check(&segment, Kind::World)?;
        let words = segment.words32(layout::SHAPE_AT, 4)?;
        let found = Shape::from_words([0, 1, 2, 3].map(|n: usize| words[n].load(Relaxed)));
        if found != shape {
            return Err(RowsError::Shape { expected: shape, found });
        }
        segment.words64(0, shape.bytes() / size_of::<u64>())?;
        let generation = header::fence(&segment)?;
        Ok(Rows { segment, shape, generation })
    }

    /// How many of what there is.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The memory, to be handed over.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Lets a successor write: whoever opened the segment before must stop. Its process must be dead already;
    /// this is for one that comes back from the dead all the same.
    pub fn fence_off(&self) -> Result<u32, OutOfBounds> {
        header::raise_fence(&self.segment)
    }

    /// Whether the segment's header and shape are still what they were.
    pub fn check(&self) -> Result<(), Corrupt> {
        let broken = |found| Corrupt { what: "world header", found };
        header::check(&self.segment, Kind::World).map_err(|_| broken(0))?;
        let words = self.words32(layout::SHAPE_AT, 4);
        match words.iter().zip(self.shape.words()).find(|(word, value)| word.load(Relaxed) != *value) {
            Some((word, _)) => Err(broken(u64::from(word.load(Relaxed)))),
            None => Ok(()),
        }
    }

    fn words32(&self, at: usize, count: usize) -> &[AtomicU32] {
        self.segment.words32(at, count).expect("the shape was checked against the segment")
    }

    fn words64(&self, at: usize, count: usize) -> &[AtomicU64] {
        self.segment.words64(at, count).expect("the shape was checked against the segment")
    }

    fn word64(&self, at: usize) -> &AtomicU64 {
        &self.words64(at, 1)[0]
    }

    fn stamps(&self, row: u32) -> &[AtomicU64] {
        self.words64(self.shape.entry_at(row), 2)
    }

    fn version(&self, row: u32, index: usize) -> &[AtomicU64] {
        let len = self.shape.len(row);
        self.words64(self.shape.version_at(row, index), layout::row_words(len))
    }

    /// True once the first state is whole.
    pub fn is_ready(&self) -> bool {
        // Pairs with the Release of `set_ready`.
        self.words32(layout::READY_AT, 1)[0].load(Acquire) == 1
    }

    /// Says that the first state is whole.
    pub fn set_ready(&self) {
        self.words32(layout::READY_AT, 1)[0].store(1, Release);
    }

    /// The last published tick.
    pub fn published(&self) -> Result<u64, Corrupt> {
        // Pairs with the Release in `publish`: whoever sees the tick sees the rows stamped with it.
        let word = self.word64(layout::PUBLISHED_AT).load(Acquire);
        let tick = word & MAX_TICK;
        if seal(tick) == word { Ok(tick) } else { Err(Corrupt { what: "published tick", found: word }) }
    }

    /// Makes every row stamped `tick` current. Only the writer calls this.
    pub fn publish(&self, tick: u64) -> Result<(), Fenced> {
        if header::fence(&self.segment) != Ok(self.generation) {
            return Err(Fenced);
        }
        self.word64(layout::PUBLISHED_AT).store(seal(tick), Release);
        Ok(())
    }

    /// The version of `row` that is current at `tick`. For the writer, whose own stamps these are: for `tick` + 1 it
    /// is what has been written in this tick, if something has. One that was never valid if no stamp is, or if they are equal, which no writer makes them.
    pub fn current(&self, row: u32, tick: u64) -> Version {
        let [a, b] = self.load_stamps(row);
        if a == b {
            Version { index: 0, stamp: INVALID }
        } else if a <= tick && (b > tick || b < a) {
            Version { index: 0, stamp: a }
        } else {
            Version { index: 1, stamp: b }
        }
    }

    fn load_stamps(&self, row: u32) -> [u64; 2] {
        let stamps = self.stamps(row);
        // Acquire pairs with the Release of `stamp`.
        [stamps[0].load(Acquire), stamps[1].load(Acquire)]
    }

    /// Copies codes of a version; for the writer, which knows that it does not change.
    pub fn codes(&self, row: u32, version: Version, codes: &mut [u8]) {
        layout::load_codes(self.version(row, version.index), codes);
    }

    /// One code, as `codes`.
    pub fn code(&self, row: u32, version: Version, col: u32) -> u8 {
        let word = &self.version(row, version.index)[col as usize / 8];
        word.load(Relaxed).to_le_bytes()[col as usize % 8]
    }

    /// Copies amounts of a version; as `codes`.
    pub fn amounts(&self, row: u32, version: Version, amounts: &mut [u16]) {
        let codes = layout::code_words(self.shape.len(row));
        layout::load_amounts(&self.version(row, version.index)[codes..], amounts);
    }

    /// One amount, as `codes`.
    pub fn amount(&self, row: u32, version: Version, col: u32) -> u16 {
        layout::load_amount(self.version(row, version.index), self.shape.len(row), col)
    }

    /// Writes the version of `row` that is not current at `tick` and stamps it `tick + 1`. Only the writer
    /// calls this, with what [`Rows::needed`] answered when the tick began.
    pub fn write(&self, row: u32, tick: u64, needed: Option<Needed>, codes: &[u8], amounts: &[u16]) {
        let current = self.current(row, tick);
        let other = 1 - current.index;
        if let Some(needed) = needed {
            self.save(row, current, needed);
        }
        let stamp = &self.stamps(row)[other];
        // Release: who misses the version finds the pin's copy, which was saved before.
        stamp.store(INVALID, Release);
        // Pairs with the fence in `read_version`: who sees new cells sees that the stamp has changed.
        fence(Release);
        self.store(row, other, codes, amounts);
        stamp.store(tick + 1, Release);
    }

    /// Rewrites the version that is current at `tick`. Only before a world is shared, or at rest.
    pub fn rewrite(&self, row: u32, tick: u64, codes: &[u8], amounts: &[u16]) {
        let Version { index, stamp } = self.current(row, tick);
        let word = &self.stamps(row)[index];
        word.store(INVALID, Relaxed);
        fence(Release);
        self.store(row, index, codes, amounts);
        word.store(stamp, Release);
    }

    /// Writes a row as it is at tick 0, whatever was there before. Only before the first state is whole.
    pub fn begin(&self, row: u32, codes: &[u8], amounts: &[u16]) {
        self.begin_at(row, 0, codes, amounts);
    }

    /// The same of a first state that is later: the row has been so since the tick `stamp`.
    pub fn begin_at(&self, row: u32, stamp: u64, codes: &[u8], amounts: &[u16]) {
        self.stamps(row).iter().for_each(|stamp| stamp.store(INVALID, Relaxed));
        fence(Release);
        self.store(row, 0, codes, amounts);
        self.stamps(row)[0].store(stamp, Release);
    }

    fn store(&self, row: u32, index: usize, codes: &[u8], amounts: &[u16]) {
        let words = self.version(row, index);
        layout::store_codes(words, codes);
        layout::store_amounts(&words[layout::code_words(self.shape.len(row))..], amounts);
    }

    /// Copies `row` as it is at published tick `tick`, and says since when. For any reader.
    pub fn read(&self, row: u32, tick: u64, cells: &mut Cells) -> Result<Version, ReadError> {
        let version = self.find(row, tick).ok_or(ReadError::Overtaken)?;
        if self.read_version(row, version, cells) { Ok(version) } else { Err(ReadError::Overtaken) }
    }

    /// One cell of `row` at published tick `tick`: its version, code and amount. For any reader.
    pub fn read_cell(&self, row: u32, tick: u64, col: u32) -> Result<(Version, u8, u16), ReadError> {
        assert!(col < self.shape.len(row), "column {col}");
        let version = self.find(row, tick).ok_or(ReadError::Overtaken)?;
        let words = self.version(row, version.index);
        let code = words[col as usize / 8].load(Relaxed).to_le_bytes()[col as usize % 8];
        let amount = layout::load_amount(words, self.shape.len(row), col);
        if self.unchanged(row, version) { Ok((version, code, amount)) } else { Err(ReadError::Overtaken) }
    }

    /// The version of `row` current at `tick`, as far as its stamps tell.
    fn find(&self, row: u32, tick: u64) -> Option<Version> {
        Some(self.current(row, tick)).filter(|version| version.stamp <= tick)
    }

    /// Why [`Rows::read`] fails again and again: a writer that is too fast, or nonsense in the stamps.
    pub fn fault(&self, row: u32) -> ReadError {
        let before = self.published();
        let stamps = self.load_stamps(row);
        match (before, self.published()) {
            (Err(corrupt), _) | (_, Err(corrupt)) => corrupt.into(),
            // While a tick is the published one, what is current at it stands.
            (Ok(before), Ok(tick)) if before == tick && stamps.iter().all(|&stamp| stamp > tick) => {
                Corrupt { what: "row stamp", found: stamps[0] }.into()
            }
            _ => ReadError::Overtaken,
        }
    }

    fn read_version(&self, row: u32, version: Version, cells: &mut Cells) -> bool {
        let len = self.shape.len(row) as usize;
        layout::load(self.version(row, version.index), len, cells);
        self.unchanged(row, version)
    }

    /// Whether what was read of a version until now is what its stamp said.
    fn unchanged(&self, row: u32, version: Version) -> bool {
        // Pairs with the fence in `write`.
        fence(Acquire);
        self.stamps(row)[version.index].load(Relaxed) == version.stamp
    }
}

/// A tick with its check bits: a stray write into the word is noticed with 2047 of 2048.
fn seal(tick: u64) -> u64 {
    tick | tick.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) & !MAX_TICK
}
