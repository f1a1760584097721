//! Why operations on a world are refused.

use shm::Corrupt;
use shm::cards::CardsError;
use shm::rows::{Fenced, PinError, RowsError};
use thiserror::Error;

use crate::factory::StoreError;
use crate::topology::SphereError;
use crate::world::MAX_THREADS;

/// Why a world cannot be made.
#[derive(Debug, Error)]
pub enum NewWorldError {
    /// The frequency is out of range.
    #[error(transparent)]
    Sphere(#[from] SphereError),
    /// The number of threads is out of range.
    #[error("{0} threads are not in 1..={MAX_THREADS}")]
    Threads(usize),
    /// The operating system gives no more memory, or the given memory is not this world's.
    #[error("no memory: {0}")]
    Memory(#[from] RowsError),
    /// The same for what stands on the cells.
    #[error("no memory: {0}")]
    Cards(#[from] CardsError),
    /// A world with an economy has a segment for its cells and some for what stands on them; another has one.
    #[error("the world has another number of segments than {0}")]
    Segments(usize),
    /// The operating system gives no more threads.
    #[error("no thread pool: {0}")]
    Pool(#[from] rayon::ThreadPoolBuildError),
}

impl NewWorldError {
    /// True if the system gives no more file descriptors.
    pub fn out_of_files(&self) -> bool {
        match self {
            NewWorldError::Memory(error) => error.out_of_files(),
            NewWorldError::Cards(error) => error.out_of_files(),
            _ => false,
        }
    }
}

/// Why given cells do not fit a world.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FillError {
    /// The planes do not have one entry for each cell.
    #[error("expected {expected} cells, found {kinds} kinds and {amounts} amounts")]
    Length {
        /// Cells of the world.
        expected: usize,
        /// Kinds given.
        kinds: usize,
        /// Amounts given.
        amounts: usize,
    },
    /// A kind that the ruleset does not have.
    #[error("cell {cell} has kind {kind}; the ruleset has {kinds} kinds")]
    Kind {
        /// The first such cell.
        cell: usize,
        /// Its kind.
        kind: u8,
        /// Kinds of the ruleset.
        kinds: usize,
    },
    /// The world has left tick 0.
    #[error("the world has begun to tick")]
    Started,
}

/// Why cells cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The id is past the end.
    #[error("there is no cell {0}")]
    NoSuchCell(u32),
    /// Ticks overtook the reader again and again, or another long read is under way; try later.
    #[error("the world ticks faster than the cells can be read")]
    Busy,
    /// The process that ticks the world wrote nonsense.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// Why a world was not advanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WriteError {
    /// Another call holds the ticker.
    #[error("another call is advancing this world")]
    Busy,
    /// Another process advances this world now: this one must let go of it.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The published tick cannot be, or what is stamped with it.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// What a tick has made has no room: [`crate::World::reserve`] makes some. Its actions are kept.
    #[error("no room for what the tick has made")]
    Full,
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => WriteError::Full,
            StoreError::Corrupt(corrupt) => WriteError::Corrupt(corrupt),
        }
    }
}

impl From<shm::rows::ReadError> for ReadError {
    fn from(error: shm::rows::ReadError) -> Self {
        match error {
            shm::rows::ReadError::Overtaken => ReadError::Busy,
            shm::rows::ReadError::Corrupt(corrupt) => ReadError::Corrupt(corrupt),
        }
    }
}

impl From<PinError> for ReadError {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Taken => ReadError::Busy,
            PinError::Corrupt(corrupt) => ReadError::Corrupt(corrupt),
        }
    }
}
