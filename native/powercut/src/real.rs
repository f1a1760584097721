//! The system calls themselves. Libc's functions cannot be called here: they are the ones that are replaced.

use libc::{c_char, c_int, c_long, c_void, iovec, mode_t, off_t, size_t, ssize_t};

pub(crate) fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments are passed on; the kernel checks pointers.
    unsafe { libc::syscall(libc::SYS_openat, dir, path, flags, mode) as c_int }
}

pub(crate) fn close(fd: c_int) -> c_int {
    // SAFETY: a number; whose it is, is the caller's affair.
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

pub(crate) fn write(fd: c_int, bytes: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: as in `openat`.
    unsafe { libc::syscall(libc::SYS_write, fd, bytes, len) as ssize_t }
}

pub(crate) fn pwrite(fd: c_int, bytes: *const c_void, len: size_t, offset: off_t) -> ssize_t {
    // SAFETY: as in `openat`.
    unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes, len, offset) as ssize_t }
}

pub(crate) fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: as in `openat`.
    unsafe { libc::syscall(libc::SYS_writev, fd, parts, c_long::from(count)) as ssize_t }
}

pub(crate) fn pwritev(fd: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
    // SAFETY: as in `openat`. The offset comes in two halves, of which 64-bit kernels take the first whole.
    unsafe {
        libc::syscall(libc::SYS_pwritev, fd, parts, c_long::from(count), offset, 0 as c_long) as ssize_t
    }
}

pub(crate) fn ftruncate(fd: c_int, len: off_t) -> c_int {
    // SAFETY: numbers.
    unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) as c_int }
}

pub(crate) fn sync(fd: c_int, only_data: bool) -> c_int {
    let call = if only_data { libc::SYS_fdatasync } else { libc::SYS_fsync };
    // SAFETY: a number.
    unsafe { libc::syscall(call, fd) as c_int }
}

pub(crate) fn renameat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: u32,
) -> c_int {
    // SAFETY: as in `openat`.
    unsafe { libc::syscall(libc::SYS_renameat2, from_dir, from, to_dir, to, flags) as c_int }
}

pub(crate) fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: as in `openat`.
    unsafe { libc::syscall(libc::SYS_unlinkat, dir, path, flags) as c_int }
}

pub(crate) fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: as in `openat`.
    unsafe { libc::syscall(libc::SYS_mkdirat, dir, path, mode) as c_int }
}

/// Where the next write goes.
pub(crate) fn position(fd: c_int) -> u64 {
    // SAFETY: numbers.
    unsafe { libc::syscall(libc::SYS_lseek, fd, 0 as off_t, libc::SEEK_CUR) }.max(0) as u64
}

pub(crate) fn set_errno(code: c_int) {
    // SAFETY: the address is this thread's own.
    unsafe { *libc::__errno_location() = code }
}

pub(crate) fn errno() -> c_int {
    // SAFETY: as in `set_errno`.
    unsafe { *libc::__errno_location() }
}
