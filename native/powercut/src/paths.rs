//! Which paths are meant.

use std::ffi::{CStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use libc::{c_char, c_int};

use crate::state::State;

/// The name from the directory on of what a call names; none if that is outside, or not to be watched. The
/// directory itself has the empty name.
pub(crate) fn name(state: &State, dir: c_int, path: *const c_char) -> Option<Vec<u8>> {
    if path.is_null() {
        return None;
    }
    // SAFETY: callers of libc give a string that ends with a zero, or null.
    let path = Path::new(std::ffi::OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
    let full = if path.is_absolute() { path.to_owned() } else { base(dir)?.join(path) };
    let mut plain = PathBuf::new();
    for component in full.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    let name = plain.strip_prefix(&state.dir).ok()?.as_os_str().as_bytes().to_vec();
    (!name.ends_with(b"-shm")).then_some(name)
}

fn base(dir: c_int) -> Option<PathBuf> {
    let link =
        if dir == libc::AT_FDCWD { "/proc/self/cwd".to_owned() } else { format!("/proc/self/fd/{dir}") };
    let mut target = vec![0; libc::PATH_MAX as usize];
    let link = std::ffi::CString::new(link).ok()?;
    // SAFETY: the string ends with a zero, and the buffer is as long as is said.
    let len = unsafe {
        libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, link.as_ptr(), target.as_mut_ptr(), target.len())
    };
    target.truncate(usize::try_from(len).ok()?);
    Some(OsString::from_vec(target).into())
}
