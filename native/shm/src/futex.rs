//! The futex doorbell (Linux).

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use nix::libc;

use crate::sync::Parker;

/// Sleeps and wakes by futex on the shared word itself; works between processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Futex;

impl Parker<AtomicU32> for Futex {
    fn park(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
        let timeout = timeout.map(|t| libc::timespec {
            tv_sec: t.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: t.subsec_nanos().into(),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the word and the timeout outlive the call, and FUTEX_WAIT only reads them. Whatever it
        // answers (woken, word changed, timeout, signal) means the same here: look again.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, timeout) };
    }

    fn unpark(&self, word: &AtomicU32) {
        // SAFETY: FUTEX_WAKE takes the address as a key and does not access the memory.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// The ways to wake a sleeping process that this build knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Doorbell {
    /// A futex on the shared word.
    #[default]
    Futex,
}

impl Doorbell {
    /// Its name, as it is shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Doorbell::Futex => "futex",
        }
    }
}

impl fmt::Display for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
