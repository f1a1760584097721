//! Writing records.

use libc::c_void;

use crate::real;
use crate::state::State;

/// A file that was there is opened; its inode is known by this name from here on.
pub(crate) const OPEN: u8 = 0;
/// A file is made.
pub(crate) const CREATE: u8 = 1;
/// Data is written; the number is where.
pub(crate) const WRITE: u8 = 2;
/// The length is set; the number is which.
pub(crate) const TRUNCATE: u8 = 3;
/// A file's data is durable.
pub(crate) const SYNC: u8 = 4;
/// The names in a directory are durable.
pub(crate) const SYNC_DIR: u8 = 5;
/// A file gets another name: the data.
pub(crate) const RENAME: u8 = 6;
/// A name is removed.
pub(crate) const UNLINK: u8 = 7;
/// A directory is made.
pub(crate) const MAKE_DIR: u8 = 8;
/// The test's own: the data.
pub(crate) const MARK: u8 = 9;

/// Appends a record, in one piece.
pub(crate) fn append(state: &State, kind: u8, inode: u64, number: u64, name: &[u8], data: &[u8]) {
    let Some(fd) = state.journal else { return };
    let mut record = Vec::with_capacity(25 + name.len() + data.len());
    record.push(kind);
    record.extend_from_slice(&inode.to_le_bytes());
    record.extend_from_slice(&number.to_le_bytes());
    record.extend_from_slice(&(name.len() as u32).to_le_bytes());
    record.extend_from_slice(&(data.len() as u32).to_le_bytes());
    record.extend_from_slice(name);
    record.extend_from_slice(data);
    let written = real::write(fd, record.as_ptr().cast::<c_void>(), record.len());
    // Half a journal would let a test pass that should not.
    if written != record.len() as isize {
        std::process::abort();
    }
}

/// How long the journal is.
pub(crate) fn len(state: &State) -> u64 {
    let Some(fd) = state.journal else { return 0 };
    // SAFETY: numbers; the file is opened for appending, so its position does not matter.
    unsafe { libc::syscall(libc::SYS_lseek, fd, 0 as libc::off_t, libc::SEEK_END) }.max(0) as u64
}
