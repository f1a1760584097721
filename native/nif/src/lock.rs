//! `lock_*`: a file that one process has at a time.
//!
//! The lock is the kernel's (`flock`), so it ends with the VM, however that ends. The file stays: were it removed,
//! two processes might each have the lock of a file of that name.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rustler::{Encoder, Env, LocalPid, Monitor, Resource, ResourceArc, Term};

mod atoms {
    rustler::atoms! { ok, error, held, no_lock }
}

/// How often, and how long apart, the number of a holder is read that has just got the lock and not written it yet.
const READS: u32 = 20;
const BETWEEN_READS: Duration = Duration::from_millis(5);

/// No number of a process has more digits.
const DIGITS: u64 = 20;

/// A lock until it is released, until the process that took it ends, or until nobody has it any more. Programs that the
/// VM starts do not inherit it: Rust opens every file so that it is closed when another program is executed.
pub struct Lock(Mutex<Option<Flock<File>>>);

#[rustler::resource_impl]
impl Resource for Lock {
    const IMPLEMENTS_DOWN: bool = true;

    // A report of its crash, which somebody still has, may hold the state of a process that has ended.
    fn down<'a>(&'a self, _: Env<'a>, _: LocalPid, _: Monitor) {
        self.release();
    }
}

impl Lock {
    fn release(&self) {
        // A thread that panicked while it had the mutex left the lock as it was.
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

enum Refusal {
    /// By the process of that number, if it has written one.
    Held(Option<u32>),
    Failed(&'static str, io::Error),
}

/// Takes the lock of a file, which is made if there is none, and writes the number of this process into it:
/// `{:ok, lock}`, `{:error, {:held, os_pid | nil}}` or `{:error, {:no_lock, sentence}}`.
#[rustler::nif(schedule = "DirtyIo")]
fn lock_take<'a>(env: Env<'a>, path: &str) -> Term<'a> {
    match take(path) {
        Ok(lock) => {
            let lock = ResourceArc::new(Lock(Mutex::new(Some(lock))));
            // A caller that has ended meanwhile never gets the lock, and so gives it up.
            let _ = env.monitor(&lock, &env.pid());
            (atoms::ok(), lock).encode(env)
        }
        Err(Refusal::Held(os_pid)) => (atoms::error(), (atoms::held(), os_pid)).encode(env),
        Err(Refusal::Failed(what, error)) => {
            (atoms::error(), (atoms::no_lock(), format!("{path} cannot be {what}: {error}"))).encode(env)
        }
    }
}

/// Gives a lock back; doing it again is fine.
#[rustler::nif(schedule = "DirtyIo")]
fn lock_release(lock: ResourceArc<Lock>) -> rustler::Atom {
    lock.release();
    atoms::ok()
}

fn take(path: &str) -> Result<Flock<File>, Refusal> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| Refusal::Failed("opened", error))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => match write(&mut lock) {
            Ok(()) => Ok(lock),
            Err(error) => Err(Refusal::Failed("written", error)),
        },
        Err((file, Errno::EWOULDBLOCK)) => Err(Refusal::Held(holder(file))),
        Err((_, errno)) => Err(Refusal::Failed("locked", errno.into())),
    }
}

/// Over what the holder before wrote, so that the file is never seen empty once it has had a holder.
fn write(file: &mut File) -> io::Result<()> {
    let line = format!("{}\n", std::process::id());
    file.write_all(line.as_bytes())?;
    file.set_len(line.len() as u64)
}

fn holder(mut file: File) -> Option<u32> {
    for read in 0..READS {
        if read > 0 {
            thread::sleep(BETWEEN_READS);
        }
        let mut text = String::new();
        file.rewind().ok()?;
        (&file).take(DIGITS).read_to_string(&mut text).ok()?;
        if let Some((line, _)) = text.split_once('\n') {
            return line.parse().ok();
        }
    }
    None
}
