//! `link.lock`: one writer for a directory.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::error::{Error, Result};

/// How often a taken lock is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// The lock, as long as this lives; the kernel releases it when the process ends, however that happens.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: Flock<File>,
}

/// Takes the lock of `dir` for writing. A predecessor that was killed may still be ending, so it is waited for.
pub(crate) async fn take(dir: &Path, wait: Duration) -> Result<Lock> {
    let path = dir.join("link.lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| Error::cannot_open(&path, error))?;
    let start = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(Lock { _held: held }),
            Err((again, Errno::EWOULDBLOCK)) => file = again,
            Err((_, error)) => return Err(Error::cannot_open(&path, error)),
        }
        if start.elapsed() >= wait {
            return Err(Error::InUse(format!(
                "{} is held by another gp_link: stop the program that uses this data directory, or use another",
                path.display()
            )));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Shares the lock if nobody writes, so that nobody begins to; none if somebody does, or never did.
pub(crate) fn share(dir: &Path) -> Option<Lock> {
    let file = File::open(dir.join("link.lock")).ok()?;
    Some(Lock { _held: Flock::lock(file, FlockArg::LockSharedNonblock).ok()? })
}

/// Whether somebody writes now.
pub(crate) fn is_taken(dir: &Path) -> bool {
    dir.join("link.lock").exists() && share(dir).is_none()
}
