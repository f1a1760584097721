//! Memory that this process may only read, because its maker sealed it so.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{self, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use memmap2::{MmapOptions, MmapRaw};

use crate::segment::{Memory, OpenError, OutOfBounds, locate, verify};
use crate::sync::{Load32, Load64};

/// A word that can be read but not written: a store to it would be a fault of the memory.
#[derive(Debug)]
#[repr(transparent)]
pub struct ReadOnly<W>(W);

// Only relaxed loads are certain to be plain loads, which such memory allows; a fence adds the rest.
impl Load32 for ReadOnly<AtomicU32> {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        let value = self.0.load(Relaxed);
        if order != Relaxed {
            fence(order);
        }
        value
    }
}

impl Load64 for ReadOnly<AtomicU64> {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        let value = self.0.load(Relaxed);
        if order != Relaxed {
            fence(order);
        }
        value
    }
}

/// A sealed memfd of another process, mapped for reading.
#[derive(Debug)]
pub struct ReadOnlySegment {
    map: MmapRaw,
}

impl ReadOnlySegment {
    /// Maps a segment for reading, with the checks of [`Segment::open`](crate::Segment::open).
    pub(crate) fn open(fd: OwnedFd, len: usize) -> Result<Self, OpenError> {
        verify(&fd, len)?;
        let map = MmapOptions::new().len(len).map_raw_read_only(&fd).map_err(OpenError::Map)?;
        Ok(ReadOnlySegment { map })
    }
}

impl Memory for ReadOnlySegment {
    type Word32 = ReadOnly<AtomicU32>;
    type Word64 = ReadOnly<AtomicU64>;

    fn len(&self) -> usize {
        self.map.len()
    }

    fn words32(&self, offset: usize, count: usize) -> Result<&[Self::Word32], OutOfBounds> {
        let start = locate(&self.map, offset, count, size_of::<AtomicU32>())?;
        // SAFETY: as in `Segment::words32`; `ReadOnly` has the layout of its word and cannot store.
        Ok(unsafe { std::slice::from_raw_parts(start.cast(), count) })
    }

    fn words64(&self, offset: usize, count: usize) -> Result<&[Self::Word64], OutOfBounds> {
        let start = locate(&self.map, offset, count, size_of::<AtomicU64>())?;
        // SAFETY: as in `words32`.
        Ok(unsafe { std::slice::from_raw_parts(start.cast(), count) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::os::fd::{AsRawFd, BorrowedFd};

    use nix::errno::Errno;
    use nix::fcntl::{FallocateFlags, fallocate};
    use nix::unistd::ftruncate;

    use super::*;
    use crate::Segment;

    /// What a peer may try, whatever way it came to the file.
    fn nothing_can_be_changed(file: &File, fd: BorrowedFd<'_>) {
        assert!(MmapOptions::new().len(4096).map_raw(&fd).is_err(), "mapped for writing");
        for size in [0, 4095, 8192] {
            assert_eq!(ftruncate(fd, size), Err(Errno::EPERM));
        }
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        assert_eq!(fallocate(fd, hole, 0, 4096), Err(Errno::EPERM));
        assert!((&mut &*file).write_all(&[1]).is_err());
    }

    #[test]
    fn a_reader_sees_what_the_maker_writes_and_can_change_nothing() {
        let made = Segment::create_for_reader(c"test", 4096).unwrap();
        assert!(made.seals_out_writers(), "this kernel has no F_SEAL_FUTURE_WRITE");
        let copy = || made.fd().unwrap().try_clone_to_owned().unwrap();
        nothing_can_be_changed(&copy().into(), made.fd().unwrap());
        let path = format!("/proc/self/fd/{}", made.fd().unwrap().as_raw_fd());
        let again = OpenOptions::new().read(true).write(true).open(path).unwrap();
        nothing_can_be_changed(&again, std::os::fd::AsFd::as_fd(&again));
        assert!(matches!(Segment::open(copy(), 4096), Err(OpenError::Map(_))));

        let read = Segment::open_read_only(copy(), 4096).unwrap();
        made.words64(8, 1).unwrap()[0].store(7, Relaxed);
        assert_eq!(read.words64(8, 1).unwrap()[0].load(Ordering::Acquire), 7);
        assert_eq!(read.words32(8, 1).unwrap()[0].load(Ordering::Acquire), 7);
        assert!(read.words32(4096, 1).is_err() && read.words64(4, 1).is_err());
        assert!(matches!(Segment::open_read_only(copy(), 1), Err(OpenError::Length { .. })));
    }
}
