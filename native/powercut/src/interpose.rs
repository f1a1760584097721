//! Libc's functions, for whoever is loaded together with this.

use libc::{AT_FDCWD, AT_REMOVEDIR, c_char, c_int, c_void, iovec, mode_t, off_t, size_t, ssize_t};

use crate::journal::{self, append};
use crate::paths;
use crate::real;
use crate::state::{self, Open, State};

/// Fails for want of room.
fn no_room() -> c_int {
    real::set_errno(libc::ENOSPC);
    -1
}

fn stat(fd: c_int) -> Option<(u64, bool)> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat fills the buffer if it gives 0, and only then it is read.
    let stat = unsafe {
        if libc::fstat(fd, stat.as_mut_ptr()) != 0 {
            return None;
        }
        stat.assume_init()
    };
    Some((stat.st_ino, stat.st_mode & libc::S_IFMT == libc::S_IFDIR))
}

fn open_at(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let Some(state) = state::get() else { return real::openat(dir, path, flags, mode) };
    let Some(name) = paths::name(state, dir, path) else {
        let fd = real::openat(dir, path, flags, mode);
        // A descriptor may come back that was closed where it could not be seen.
        state.forget(fd);
        return fd;
    };
    let _ordered = state.ordered();
    let is_new = flags & libc::O_CREAT != 0 && {
        let found = real::openat(dir, path, libc::O_PATH | libc::O_CLOEXEC, 0);
        if found >= 0 {
            real::close(found);
        }
        found < 0
    };
    if is_new && !name.ends_with(b".mark") && state.is_full() {
        return no_room();
    }
    let fd = real::openat(dir, path, flags, mode);
    if fd < 0 {
        return fd;
    }
    let error = real::errno();
    if let Some((inode, is_dir)) = stat(fd) {
        let open = Open { name, inode, is_dir };
        if !is_dir && !open.is_mark() {
            append(state, if is_new { journal::CREATE } else { journal::OPEN }, inode, 0, &open.name, &[]);
            if !is_new && flags & libc::O_TRUNC != 0 {
                append(state, journal::TRUNCATE, inode, 0, &open.name, &[]);
            }
        }
        state.watch(fd, open);
    }
    real::set_errno(error);
    fd
}

/// Does a write and writes down what was taken.
fn written(
    fd: c_int,
    parts: &[(*const c_void, usize)],
    offset: Option<off_t>,
    write: impl FnOnce() -> ssize_t,
) -> ssize_t {
    let Some((state, open)) = state::get().and_then(|state| Some((state, state.watched(fd)?))) else {
        return write();
    };
    let _ordered = state.ordered();
    if !open.is_mark() && state.is_full() {
        return no_room() as ssize_t;
    }
    let len = write();
    let Ok(mut rest) = usize::try_from(len) else { return len };
    let error = real::errno();
    let mut data = Vec::with_capacity(rest);
    for (start, len) in parts {
        let len = rest.min(*len);
        if len > 0 {
            // SAFETY: the kernel has just read these bytes from where the caller says that they are.
            data.extend_from_slice(unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) });
        }
        rest -= len;
    }
    if open.is_mark() {
        append(state, journal::MARK, open.inode, 0, &open.name, &data);
    } else {
        let at = offset.map_or_else(|| real::position(fd) - data.len() as u64, |offset| offset as u64);
        append(state, journal::WRITE, open.inode, at, &open.name, &data);
    }
    real::set_errno(error);
    len
}

fn parts(parts: *const iovec, count: c_int) -> Vec<(*const c_void, usize)> {
    let count = usize::try_from(count).unwrap_or(0);
    if parts.is_null() || count == 0 {
        return Vec::new();
    }
    // SAFETY: callers of writev give an array of so many.
    unsafe { std::slice::from_raw_parts(parts, count) }
        .iter()
        .map(|part| (part.iov_base.cast_const(), part.iov_len))
        .collect()
}

fn truncated(fd: c_int, len: off_t) -> c_int {
    let Some((state, open)) = state::get().and_then(|state| Some((state, state.watched(fd)?))) else {
        return real::ftruncate(fd, len);
    };
    let _ordered = state.ordered();
    let result = real::ftruncate(fd, len);
    if result == 0 && !open.is_mark() {
        append(state, journal::TRUNCATE, open.inode, len as u64, &open.name, &[]);
    }
    result
}

fn synced(fd: c_int, only_data: bool) -> c_int {
    let Some((state, open)) = state::get().and_then(|state| Some((state, state.watched(fd)?))) else {
        return real::sync(fd, only_data);
    };
    // Other threads may write meanwhile; that is not promised to be durable.
    let began = journal::len(state);
    if let Some(delay) = state.delay() {
        std::thread::sleep(delay);
    }
    if state.syncs_fail() {
        return no_room();
    }
    let result = if state.no_sync { 0 } else { real::sync(fd, only_data) };
    if result == 0 {
        let _ordered = state.ordered();
        let kind = if open.is_dir { journal::SYNC_DIR } else { journal::SYNC };
        append(state, kind, open.inode, began, &open.name, &[]);
    }
    result
}

/// Does what changes names, and writes it down.
fn named(
    kind: u8,
    at: (c_int, *const c_char),
    to: Option<(c_int, *const c_char)>,
    act: impl FnOnce() -> c_int,
) -> c_int {
    let Some(state) = state::get() else { return act() };
    let name = |state: &State, (dir, path)| paths::name(state, dir, path);
    let Some(from) = name(state, at) else { return act() };
    let _ordered = state.ordered();
    if kind == journal::MAKE_DIR && state.is_full() {
        return no_room();
    }
    let result = act();
    if result == 0 && !from.ends_with(b".mark") {
        let to = to.and_then(|to| name(state, to)).unwrap_or_default();
        append(state, kind, 0, 0, &from, &to);
    }
    result
}

macro_rules! replace {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $($(#[$doc])*
        // SAFETY: the name and the arguments are libc's; that it is called instead is what this library is for.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($argument: $type),*) -> $result $body)*
    };
}

// Functions with a variable argument take it always: where it is not given, what is found in its place is not used.
replace! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_at(AT_FDCWD, path, flags, mode) }
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_at(AT_FDCWD, path, flags, mode) }
    fn __open_2(path: *const c_char, flags: c_int) -> c_int { open_at(AT_FDCWD, path, flags, 0) }
    fn __open64_2(path: *const c_char, flags: c_int) -> c_int { open_at(AT_FDCWD, path, flags, 0) }
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_at(dir, path, flags, mode) }
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_at(dir, path, flags, mode) }
    fn __openat_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int { open_at(dir, path, flags, 0) }
    fn __openat64_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int { open_at(dir, path, flags, 0) }
    fn creat(path: *const c_char, mode: mode_t) -> c_int {
        open_at(AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode)
    }
    fn creat64(path: *const c_char, mode: mode_t) -> c_int {
        open_at(AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode)
    }
    fn close(fd: c_int) -> c_int {
        if let Some(state) = state::get() {
            state.forget(fd);
        }
        real::close(fd)
    }
    fn write(fd: c_int, bytes: *const c_void, len: size_t) -> ssize_t {
        written(fd, &[(bytes, len)], None, || real::write(fd, bytes, len))
    }
    fn pwrite(fd: c_int, bytes: *const c_void, len: size_t, at: off_t) -> ssize_t {
        written(fd, &[(bytes, len)], Some(at), || real::pwrite(fd, bytes, len, at))
    }
    fn pwrite64(fd: c_int, bytes: *const c_void, len: size_t, at: off_t) -> ssize_t {
        written(fd, &[(bytes, len)], Some(at), || real::pwrite(fd, bytes, len, at))
    }
    fn writev(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
        if state::get().is_none_or(|state| state.watched(fd).is_none()) {
            return real::writev(fd, vector, count);
        }
        written(fd, &parts(vector, count), None, || real::writev(fd, vector, count))
    }
    fn pwritev(fd: c_int, vector: *const iovec, count: c_int, at: off_t) -> ssize_t {
        written(fd, &parts(vector, count), Some(at), || real::pwritev(fd, vector, count, at))
    }
    fn pwritev64(fd: c_int, vector: *const iovec, count: c_int, at: off_t) -> ssize_t {
        written(fd, &parts(vector, count), Some(at), || real::pwritev(fd, vector, count, at))
    }
    fn ftruncate(fd: c_int, len: off_t) -> c_int { truncated(fd, len) }
    fn ftruncate64(fd: c_int, len: off_t) -> c_int { truncated(fd, len) }
    fn fsync(fd: c_int) -> c_int { synced(fd, false) }
    fn fdatasync(fd: c_int) -> c_int { synced(fd, true) }
    fn rename(from: *const c_char, to: *const c_char) -> c_int {
        named(journal::RENAME, (AT_FDCWD, from), Some((AT_FDCWD, to)), || real::renameat(AT_FDCWD, from, AT_FDCWD, to, 0))
    }
    fn renameat(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char) -> c_int {
        named(journal::RENAME, (from_dir, from), Some((to_dir, to)), || real::renameat(from_dir, from, to_dir, to, 0))
    }
    fn renameat2(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: u32) -> c_int {
        named(journal::RENAME, (from_dir, from), Some((to_dir, to)), || real::renameat(from_dir, from, to_dir, to, flags))
    }
    fn unlink(path: *const c_char) -> c_int {
        named(journal::UNLINK, (AT_FDCWD, path), None, || real::unlinkat(AT_FDCWD, path, 0))
    }
    fn rmdir(path: *const c_char) -> c_int {
        named(journal::UNLINK, (AT_FDCWD, path), None, || real::unlinkat(AT_FDCWD, path, AT_REMOVEDIR))
    }
    fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
        named(journal::UNLINK, (dir, path), None, || real::unlinkat(dir, path, flags))
    }
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
        named(journal::MAKE_DIR, (AT_FDCWD, path), None, || real::mkdirat(AT_FDCWD, path, mode))
    }
    fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
        named(journal::MAKE_DIR, (dir, path), None, || real::mkdirat(dir, path, mode))
    }
}
