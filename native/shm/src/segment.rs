//! A piece of memory that another process can map and cannot pull away.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl, posix_fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::fstat;
use thiserror::Error;

/// Why a segment cannot be made.
#[derive(Debug, Error)]
pub enum CreateError {
    /// No memfd, or it cannot be sealed.
    #[error("a memfd of {len} bytes: {errno}")]
    Memfd {
        /// Bytes asked for.
        len: usize,
        /// The system's answer.
        errno: Errno,
    },
    /// It cannot be mapped.
    #[error("mapping {len} bytes: {source}")]
    Map {
        /// Bytes asked for.
        len: usize,
        /// The system's answer.
        source: io::Error,
    },
}

/// Why a received file descriptor is not taken as a segment.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It cannot be asked.
    #[error("not a memfd: {0}")]
    NotAMemfd(Errno),
    /// Somebody could truncate it under the mapping, and a read would kill this process.
    #[error("the memfd is not sealed against shrinking and growing")]
    Unsealed,
    /// It has another size than announced.
    #[error("the segment has {found} bytes, expected {expected}")]
    Length {
        /// Bytes announced.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// It cannot be mapped.
    #[error("mapping: {0}")]
    Map(io::Error),
}

/// An offset that does not lie in the segment, or is not aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{len} bytes at {offset} are not in a segment of {size} bytes, or not aligned")]
pub struct OutOfBounds {
    /// Offset asked for.
    pub offset: usize,
    /// Bytes asked for.
    pub len: usize,
    /// Bytes of the segment.
    pub size: usize,
}

/// A mapped, sealed memfd.
#[derive(Debug)]
pub struct Segment {
    fd: OwnedFd,
    map: MmapRaw,
}

fn fixed() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

impl Segment {
    /// A new segment of `len` zero bytes, all of them allocated: a full machine is an error here, not a
    /// signal later. `name` shows in `/proc/PID/maps`.
    pub fn create(name: &CStr, len: usize) -> Result<Self, CreateError> {
        let refused = |errno| CreateError::Memfd { len, errno };
        let size = i64::try_from(len).map_err(|_| refused(Errno::EFBIG))?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let fd = memfd_create(name, flags).map_err(refused)?;
        posix_fallocate(&fd, 0, size).map_err(refused)?;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(fixed())).map_err(refused)?;
        let map =
            MmapOptions::new().len(len).map_raw(&fd).map_err(|source| CreateError::Map { len, source })?;
        Ok(Segment { fd, map })
    }

    /// Maps a segment that another process made. Its size is checked before and its seals before that, so
    /// neither can change any more.
    pub fn open(fd: OwnedFd, len: usize) -> Result<Self, OpenError> {
        let seals = fcntl(&fd, FcntlArg::F_GET_SEALS).map_err(OpenError::NotAMemfd)?;
        if !SealFlag::from_bits_truncate(seals).contains(fixed()) {
            return Err(OpenError::Unsealed);
        }
        let found = fstat(&fd).map_err(OpenError::NotAMemfd)?.st_size;
        if usize::try_from(found) != Ok(len) {
            return Err(OpenError::Length { expected: len, found: found.try_into().unwrap_or(0) });
        }
        let map = MmapOptions::new().len(len).map_raw(&fd).map_err(OpenError::Map)?;
        Ok(Segment { fd, map })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Never: a segment has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file descriptor, to be handed over.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn check(&self, offset: usize, count: usize, size: usize) -> Result<*mut u8, OutOfBounds> {
        let refused = OutOfBounds { offset, len: count.saturating_mul(size), size: self.len() };
        let end = count.checked_mul(size).and_then(|len| offset.checked_add(len)).ok_or(refused)?;
        if end > self.len() || !offset.is_multiple_of(size) {
            return Err(refused);
        }
        Ok(self.map.as_mut_ptr().wrapping_add(offset))
    }

    /// `count` words of 32 bits at `offset`.
    pub fn words32(&self, offset: usize, count: usize) -> Result<&[AtomicU32], OutOfBounds> {
        let start = self.check(offset, count, size_of::<AtomicU32>())?;
        // SAFETY: `check` keeps the words inside the mapping and aligned (a mapping begins at a page), the
        // mapping lives as long as `self`, cannot shrink, and is only ever accessed through atomics.
        Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU32>(), count) })
    }

    /// `count` words of 64 bits at `offset`.
    pub fn words64(&self, offset: usize, count: usize) -> Result<&[AtomicU64], OutOfBounds> {
        let start = self.check(offset, count, size_of::<AtomicU64>())?;
        // SAFETY: as in `words32`.
        Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU64>(), count) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use nix::unistd::ftruncate;

    use super::*;

    #[test]
    fn a_segment_is_zero_shared_and_cannot_change_its_size() {
        let made = Segment::create(c"test", 4096).unwrap();
        assert!(made.words64(0, 512).unwrap().iter().all(|word| word.load(Relaxed) == 0));
        for size in [0, 4095, 8192] {
            assert_eq!(ftruncate(made.fd(), size), Err(Errno::EPERM));
        }
        let opened = Segment::open(made.fd().try_clone_to_owned().unwrap(), 4096).unwrap();
        made.words32(8, 1).unwrap()[0].store(7, Relaxed);
        assert_eq!(opened.words32(8, 1).unwrap()[0].load(Relaxed), 7);
    }

    #[test]
    fn what_is_not_a_sealed_memfd_of_this_size_is_refused() {
        let made = Segment::create(c"test", 4096).unwrap();
        let fd = || made.fd().try_clone_to_owned().unwrap();
        assert!(matches!(Segment::open(fd(), 4097), Err(OpenError::Length { expected: 4097, found: 4096 })));
        let open = memfd_create(c"open", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        ftruncate(&open, 4096).unwrap();
        assert!(matches!(Segment::open(open, 4096), Err(OpenError::Unsealed)));
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(matches!(Segment::open(file.into(), 4096), Err(OpenError::NotAMemfd(_))));
    }

    #[test]
    fn offsets_are_checked() {
        let segment = Segment::create(c"test", 4096).unwrap();
        assert!(segment.words32(4092, 1).is_ok());
        assert!(segment.words64(0, 512).is_ok());
        for (offset, count) in
            [(4096, 1), (4092, 2), (2, 1), (usize::MAX, 1), (0, usize::MAX), (usize::MAX - 3, 1)]
        {
            assert!(segment.words32(offset, count).is_err(), "{offset} {count}");
        }
        assert!(segment.words64(4, 1).is_err());
    }

    #[test]
    fn too_much_is_an_error() {
        assert!(matches!(Segment::create(c"test", usize::MAX), Err(CreateError::Memfd { .. })));
        assert!(Segment::create(c"test", 0).is_err());
    }
}
