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

use crate::ReadOnlySegment;
use crate::sync::{Load32, Load64};

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

impl CreateError {
    /// True if the system gives no more file descriptors: every shared segment has one.
    pub fn out_of_files(&self) -> bool {
        matches!(self, CreateError::Memfd { errno: Errno::EMFILE | Errno::ENFILE, .. })
    }
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

/// A mapped, sealed memfd, or memory of this process alone.
#[derive(Debug)]
pub struct Segment {
    fd: Option<OwnedFd>,
    map: MmapRaw,
}

fn fixed() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

/// Memory of a segment, as words that both sides reach through atomics only.
pub trait Memory {
    /// Its words of 32 bits.
    type Word32: Load32;
    /// Its words of 64 bits.
    type Word64: Load64;
    /// Bytes.
    fn len(&self) -> usize;
    /// Never: a segment has at least one byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// `count` words of 32 bits at `offset`.
    fn words32(&self, offset: usize, count: usize) -> Result<&[Self::Word32], OutOfBounds>;
    /// `count` words of 64 bits at `offset`.
    fn words64(&self, offset: usize, count: usize) -> Result<&[Self::Word64], OutOfBounds>;
}

/// Where `count` words of `size` bytes at `offset` begin.
pub(crate) fn locate(
    map: &MmapRaw,
    offset: usize,
    count: usize,
    size: usize,
) -> Result<*mut u8, OutOfBounds> {
    let refused = OutOfBounds { offset, len: count.saturating_mul(size), size: map.len() };
    let end = count.checked_mul(size).and_then(|len| offset.checked_add(len)).ok_or(refused)?;
    if end > map.len() || !offset.is_multiple_of(size) {
        return Err(refused);
    }
    Ok(map.as_mut_ptr().wrapping_add(offset))
}

/// Checks a memfd of another process before it is mapped: its seals first, so its size cannot change after.
pub(crate) fn verify(fd: &OwnedFd, len: usize) -> Result<(), OpenError> {
    let seals = fcntl(fd, FcntlArg::F_GET_SEALS).map_err(OpenError::NotAMemfd)?;
    if !SealFlag::from_bits_truncate(seals).contains(fixed()) {
        return Err(OpenError::Unsealed);
    }
    let found = fstat(fd).map_err(OpenError::NotAMemfd)?.st_size;
    if usize::try_from(found) != Ok(len) {
        return Err(OpenError::Length { expected: len, found: found.try_into().unwrap_or(0) });
    }
    Ok(())
}

impl Segment {
    /// A new segment of `len` zero bytes, all of them allocated: a full machine is an error here, not a
    /// signal later. `name` shows in `/proc/PID/maps`.
    pub fn create(name: &CStr, len: usize) -> Result<Self, CreateError> {
        let made = Self::create_unsealed(name, len)?;
        made.seal(fixed()).map_err(|errno| CreateError::Memfd { len, errno })?;
        Ok(made)
    }

    /// A new segment that only this mapping can write, ever: whoever gets the file can map it for reading
    /// and nothing else. A kernel before 5.1 lacks that seal; there it is an ordinary segment.
    pub fn create_for_reader(name: &CStr, len: usize) -> Result<Self, CreateError> {
        let made = Self::create_unsealed(name, len)?;
        made.seal(fixed() | SealFlag::F_SEAL_FUTURE_WRITE)
            .or_else(|_| made.seal(fixed()))
            .map_err(|errno| CreateError::Memfd { len, errno })?;
        Ok(made)
    }

    fn create_unsealed(name: &CStr, len: usize) -> Result<Self, CreateError> {
        let refused = |errno| CreateError::Memfd { len, errno };
        let size = i64::try_from(len).map_err(|_| refused(Errno::EFBIG))?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let fd = memfd_create(name, flags).map_err(refused)?;
        posix_fallocate(&fd, 0, size).map_err(refused)?;
        let map =
            MmapOptions::new().len(len).map_raw(&fd).map_err(|source| CreateError::Map { len, source })?;
        Ok(Segment { fd: Some(fd), map })
    }

    /// Zeroed memory of this process alone, with the same access as a shared one.
    pub fn private(len: usize) -> Result<Self, CreateError> {
        let map =
            MmapOptions::new().len(len).map_anon().map_err(|source| CreateError::Map { len, source })?;
        Ok(Segment { fd: None, map: map.into() })
    }

    fn seal(&self, seals: SealFlag) -> Result<(), Errno> {
        fcntl(self.fd.as_ref().ok_or(Errno::EBADF)?, FcntlArg::F_ADD_SEALS(seals)).map(drop)
    }

    /// Maps a segment that another process made. Its size is checked before and its seals before that, so
    /// neither can change any more.
    pub fn open(fd: OwnedFd, len: usize) -> Result<Self, OpenError> {
        verify(&fd, len)?;
        let map = MmapOptions::new().len(len).map_raw(&fd).map_err(OpenError::Map)?;
        Ok(Segment { fd: Some(fd), map })
    }

    /// Maps a segment of another process for reading, which is all that one of
    /// [`Segment::create_for_reader`] allows.
    pub fn open_read_only(fd: OwnedFd, len: usize) -> Result<ReadOnlySegment, OpenError> {
        ReadOnlySegment::open(fd, len)
    }

    /// True if nobody else can map it for writing.
    pub fn seals_out_writers(&self) -> bool {
        let seals = self.fd.as_ref().map(|fd| fcntl(fd, FcntlArg::F_GET_SEALS));
        matches!(seals, Some(Ok(seals)) if SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_FUTURE_WRITE))
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Never: a segment has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file descriptor, to be handed over; a private segment has none.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(OwnedFd::as_fd)
    }

    /// `count` words of 32 bits at `offset`.
    pub fn words32(&self, offset: usize, count: usize) -> Result<&[AtomicU32], OutOfBounds> {
        let start = locate(&self.map, offset, count, size_of::<AtomicU32>())?;
        // SAFETY: `locate` keeps the words inside the mapping and aligned (a mapping begins at a page), the
        // mapping lives as long as `self`, cannot shrink, and is only ever accessed through atomics.
        Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU32>(), count) })
    }

    /// `count` words of 64 bits at `offset`.
    pub fn words64(&self, offset: usize, count: usize) -> Result<&[AtomicU64], OutOfBounds> {
        let start = locate(&self.map, offset, count, size_of::<AtomicU64>())?;
        // SAFETY: as in `words32`.
        Ok(unsafe { std::slice::from_raw_parts(start.cast::<AtomicU64>(), count) })
    }
}

impl Memory for Segment {
    type Word32 = AtomicU32;
    type Word64 = AtomicU64;

    fn len(&self) -> usize {
        self.len()
    }

    fn words32(&self, offset: usize, count: usize) -> Result<&[AtomicU32], OutOfBounds> {
        self.words32(offset, count)
    }

    fn words64(&self, offset: usize, count: usize) -> Result<&[AtomicU64], OutOfBounds> {
        self.words64(offset, count)
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
            assert_eq!(ftruncate(made.fd().unwrap(), size), Err(Errno::EPERM));
        }
        let opened = Segment::open(made.fd().unwrap().try_clone_to_owned().unwrap(), 4096).unwrap();
        made.words32(8, 1).unwrap()[0].store(7, Relaxed);
        assert_eq!(opened.words32(8, 1).unwrap()[0].load(Relaxed), 7);
    }

    #[test]
    fn what_is_not_a_sealed_memfd_of_this_size_is_refused() {
        let made = Segment::create(c"test", 4096).unwrap();
        let fd = || made.fd().unwrap().try_clone_to_owned().unwrap();
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
