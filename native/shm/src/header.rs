//! The first 64 bytes of every segment: what it is, and whether it is ready.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use thiserror::Error;

use crate::sync::Load32;
use crate::{Memory, OutOfBounds, Segment};

/// Bytes that the header takes; content begins here.
pub const HEADER_BYTES: usize = 64;

/// Changes with any layout in any segment.
pub const LAYOUT_VERSION: u32 = 2;

const MAGIC: u32 = u32::from_le_bytes(*b"GPsm");
const VERSION_AT: usize = 0;
const MAGIC_AT: usize = 4;
const KIND_AT: usize = 8;
const FENCE_AT: usize = 12;

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Completions, replies and counters of calls.
    Calls = 1,
    /// A world's rows.
    World = 2,
    /// Requests of calls.
    Requests = 3,
    /// Cards of a world's objects.
    Cards = 4,
}

/// Why a segment's content is not what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The other side has not finished it.
    #[error("the segment is not ready")]
    NotReady,
    /// It is no segment of this platform.
    #[error("the segment begins with {0:#010x}, which is not ours")]
    Magic(u32),
    /// Another build wrote it.
    #[error("the segment has layout {found}, this build has {LAYOUT_VERSION}")]
    Version {
        /// Its layout version.
        found: u32,
    },
    /// It holds something else.
    #[error("the segment holds kind {found}, expected {expected:?}")]
    Kind {
        /// What was expected.
        expected: Kind,
        /// What was found.
        found: u32,
    },
    /// It is shorter than a header or than its content.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
}

/// Writes the header of a segment whose content is complete. The version word comes last and says *ready*.
pub fn publish(segment: &Segment, kind: Kind) -> Result<(), HeaderError> {
    let word = |at| segment.words32(at, 1).map(|words| &words[0]);
    word(MAGIC_AT)?.store(MAGIC, Relaxed);
    word(KIND_AT)?.store(kind as u32, Relaxed);
    word(VERSION_AT)?.store(LAYOUT_VERSION, Release);
    Ok(())
}

/// Checks the header of a segment that another process made.
pub fn check(segment: &impl Memory, expected: Kind) -> Result<(), HeaderError> {
    let word = |at| segment.words32(at, 1).map(|words| &words[0]);
    // Acquire pairs with the Release of `publish`.
    match word(VERSION_AT)?.load(Acquire) {
        0 => return Err(HeaderError::NotReady),
        LAYOUT_VERSION => {}
        found => return Err(HeaderError::Version { found }),
    }
    let magic = word(MAGIC_AT)?.load(Relaxed);
    if magic != MAGIC {
        return Err(HeaderError::Magic(magic));
    }
    match word(KIND_AT)?.load(Relaxed) {
        found if found == expected as u32 => Ok(()),
        found => Err(HeaderError::Kind { expected, found }),
    }
}

/// The fence generation: raised when a process that wrote the segment is known to be dead, before its
/// successor maps it. A writer that finds another generation than its own must stop.
pub fn fence(segment: &Segment) -> Result<u32, OutOfBounds> {
    Ok(segment.words32(FENCE_AT, 1)?[0].load(Acquire))
}

/// Raises the fence generation and returns the new one.
pub fn raise_fence(segment: &Segment) -> Result<u32, OutOfBounds> {
    let word = &segment.words32(FENCE_AT, 1)?[0];
    Ok(word.fetch_add(1, std::sync::atomic::Ordering::AcqRel).wrapping_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_error() {
        let segment = Segment::create(c"test", 4096).unwrap();
        assert_eq!(check(&segment, Kind::Calls), Err(HeaderError::NotReady));
        publish(&segment, Kind::Calls).unwrap();
        assert_eq!(check(&segment, Kind::Calls), Ok(()));
        assert_eq!(check(&segment, Kind::World), Err(HeaderError::Kind { expected: Kind::World, found: 1 }));
        segment.words32(MAGIC_AT, 1).unwrap()[0].store(5, Relaxed);
        assert_eq!(check(&segment, Kind::Calls), Err(HeaderError::Magic(5)));
        segment.words32(VERSION_AT, 1).unwrap()[0].store(9, Relaxed);
        assert_eq!(check(&segment, Kind::Calls), Err(HeaderError::Version { found: 9 }));
        let short = Segment::create(c"test", 3).unwrap();
        assert!(matches!(check(&short, Kind::Calls), Err(HeaderError::OutOfBounds(_))));
    }

    #[test]
    fn the_fence_only_rises() {
        let segment = Segment::create(c"test", 4096).unwrap();
        assert_eq!(fence(&segment), Ok(0));
        assert_eq!(raise_fence(&segment), Ok(1));
        assert_eq!(fence(&segment), Ok(1));
    }
}
