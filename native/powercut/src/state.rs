//! What is watched: the directory, and which descriptors are open below it.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use libc::c_int;

/// The most descriptors that are watched.
const DESCRIPTORS: usize = 1 << 16;

/// What a descriptor is open for.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub name: Vec<u8>,
    pub inode: u64,
    pub is_dir: bool,
}

impl Open {
    pub fn is_mark(&self) -> bool {
        self.name.ends_with(b".mark")
    }
}

pub(crate) struct State {
    pub dir: PathBuf,
    pub journal: Option<c_int>,
    pub no_sync: bool,
    pub full: Option<PathBuf>,
    pub slow: Option<PathBuf>,
    /// Changes are done and written down one after the other, so that the journal has their order.
    order: Mutex<()>,
    watched: Box<[AtomicBool]>,
    open: RwLock<Vec<(c_int, Open)>>,
}

static STATE: OnceLock<Option<State>> = OnceLock::new();

/// The state; none if nothing is to be watched.
pub(crate) fn get() -> Option<&'static State> {
    STATE.get_or_init(State::from_environment).as_ref()
}

impl State {
    fn from_environment() -> Option<State> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let dir = path("POWERCUT_DIR").filter(|dir| dir.is_absolute())?;
        let journal = path("POWERCUT_JOURNAL").and_then(|path| {
            let path = std::ffi::CString::new(path.into_os_string().into_vec()).ok()?;
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
            let fd = crate::real::openat(libc::AT_FDCWD, path.as_ptr(), flags, 0o600);
            (fd >= 0).then_some(fd)
        });
        Some(State {
            dir,
            journal,
            no_sync: path("POWERCUT_NOSYNC").is_some(),
            full: path("POWERCUT_FULL"),
            slow: path("POWERCUT_SLOW"),
            order: Mutex::new(()),
            watched: (0..DESCRIPTORS).map(|_| AtomicBool::new(false)).collect(),
            open: RwLock::default(),
        })
    }

    pub fn ordered(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flag(&self, fd: c_int) -> Option<&AtomicBool> {
        self.watched.get(usize::try_from(fd).ok()?)
    }

    pub fn watch(&self, fd: c_int, open: Open) {
        let Some(flag) = self.flag(fd) else { return };
        let mut all = self.open.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, _)| *other != fd);
        all.push((fd, open));
        flag.store(true, Ordering::Release);
    }

    /// What a descriptor is open for. Others cost no lock: a child between fork and exec may hold none.
    pub fn watched(&self, fd: c_int) -> Option<Open> {
        if !self.flag(fd)?.load(Ordering::Acquire) {
            return None;
        }
        let all = self.open.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(other, _)| *other == fd).map(|(_, open)| open.clone())
    }

    pub fn forget(&self, fd: c_int) {
        if self.flag(fd).is_some_and(|flag| flag.swap(false, Ordering::AcqRel)) {
            self.open.write().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != fd);
        }
    }

    /// Whether the disk is to be full now, for whatever needs room.
    pub fn is_full(&self) -> bool {
        let Some(path) = &self.full else { return false };
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "sync")
    }

    /// Whether syncs are to fail now.
    pub fn syncs_fail(&self) -> bool {
        self.full.as_ref().is_some_and(|path| path.exists())
    }

    /// How long a sync is to take now.
    pub fn delay(&self) -> Option<std::time::Duration> {
        let text = std::fs::read_to_string(self.slow.as_ref()?).ok()?;
        text.trim().parse().ok().map(std::time::Duration::from_millis)
    }
}
