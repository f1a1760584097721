//! The event log of a directory.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::lock;
use crate::stats::{Snapshot, Stats};
use crate::store::open;
use crate::store::plan::Op;
use crate::store::read::{Batches, Entries, Reader, Summary};
use crate::wal::{self, WalError};
use crate::writer::{Commit, Job, Writer};

/// What a log is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To write; one process may.
    Write,
    /// To read, beside one that writes or alone.
    Read,
}

/// How a log is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// For what.
    pub mode: Mode,
    /// The most bytes of `events.db`, 0 for no limit.
    pub max_bytes: u64,
    /// How long another writer is waited for.
    pub wait: Duration,
    /// How many pages the log before the database may have until they are moved there.
    pub move_after: u32,
}

impl Options {
    pub(crate) fn most_pages(&self) -> u64 {
        // Less than a page is a limit, too.
        self.max_bytes.div_ceil(open::PAGE)
    }
}

impl Default for Options {
    fn default() -> Self {
        Options { mode: Mode::Write, max_bytes: 0, wait: Duration::from_secs(5), move_after: 4000 }
    }
}

/// An event log that is open. [`Log::close`] ends it tidily; one that is only dropped is like one that was killed.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    file: PathBuf,
    options: Options,
    stats: Arc<Stats>,
    jobs: Option<mpsc::UnboundedSender<Job>>,
    writer: Option<JoinHandle<()>>,
    reader: Mutex<Reader>,
}

/// SQLite's log before the database `file`.
pub(crate) fn wal_of(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push("-wal");
    name.into()
}

/// Examines the log before the database, which no process uses, and makes durable what is in it: a predecessor
/// that was killed may have written what it did not sync.
fn examine(file: &Path, sync: bool) -> Result<()> {
    let wal = wal_of(file);
    wal::examine(&wal).map_err(|error| match error {
        WalError::Io(error) => Error::cannot_open(&wal, error),
        damaged => Error::corrupt(&wal, damaged),
    })?;
    if sync {
        match File::open(&wal).and_then(|wal| wal.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(&wal, &error)),
            _ => {}
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Io(format!("{error}; start the program again"))))
}

/// The writer's answer.
async fn answered<T>(asked: Result<oneshot::Receiver<Result<T>>>) -> Result<T> {
    let ended = |_| Err(Error::Io("the writer has ended: start the program again".to_owned()));
    asked?.await.unwrap_or_else(ended)
}

impl Log {
    /// Opens the log of a directory; for writing, makes it if it is not there.
    ///
    /// # Errors
    ///
    /// `in_use` if another process writes, `newer_version`, `corrupt` or `cannot_open` as the files are.
    pub async fn open(dir: &Path, options: Options) -> Result<Log> {
        let file = dir.join("events.db");
        let stats = Arc::new(Stats::default());
        let (jobs, writer) = match options.mode {
            Mode::Write => {
                let lock = lock::take(dir, options.wait).await?;
                let examined = file.clone();
                blocking(move || examine(&examined, true)).await?;
                let mut db = open::writer(&file, options.most_pages()).await?;
                open::raw(&mut db, "PRAGMA wal_checkpoint(TRUNCATE)")
                    .await
                    .map_err(|error| Error::sql(&file, error))?;
                let mover = open::mover(&file).await?;
                let writer = Writer::new(db, mover, file.clone(), &options, stats.clone(), lock).await?;
                let (jobs, asked) = mpsc::unbounded_channel();
                (Some(jobs), Some(tokio::spawn(writer.run(asked))))
            }
            Mode::Read => {
                if !file.exists() {
                    return Err(Error::CannotOpen(format!(
                        "{}: there is no event log here, give another directory",
                        file.display()
                    )));
                }
                // Beside a writer the file is in use, and the writer has examined it.
                if !lock::is_taken(dir) {
                    let (dir, examined) = (dir.to_owned(), file.clone());
                    blocking(move || {
                        let _nobody_writes = lock::share(&dir);
                        examine(&examined, false)
                    })
                    .await?;
                }
                (None, None)
            }
        };
        let mut log = Log {
            dir: dir.to_owned(),
            reader: Mutex::new(Reader { db: open::reader(&file).await?, file: file.clone() }),
            file,
            options,
            stats,
            jobs,
            writer,
        };
        if log.options.mode == Mode::Read {
            // What can be seen to be damaged is refused now.
            log.reader.get_mut().worlds().await?;
        }
        Ok(log)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How it was opened.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Asks the writer, now.
    fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(|| {
            Error::BadRequest("the event log is open for reading only: open it for writing".to_owned())
        })?;
        // Without a writer the answer never comes, and that says so.
        let _ = jobs.send(job(answer));
        Ok(answered)
    }

    /// Creates a world; one that is there with the same `meta` is created already.
    pub fn create_world(
        &self,
        world: &str,
        meta: Vec<u8>,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let world = world.to_owned();
        answered(self.ask(move |answer| Job::Create { world, meta, answer }))
    }

    /// Commits operations, in the order of calls. The future gives the last entry in the log when all is durable,
    /// or an error, and then nothing of it was or will be written.
    pub fn commit(&self, world: &str, ops: Vec<Op>) -> impl Future<Output = Result<i64>> + Send + use<> {
        let world = world.to_owned();
        answered(self.ask(move |answer| Job::Commit(Commit { world, ops, since: Instant::now(), answer })))
    }

    /// Removes marks before `tick` and their entries, in pieces between commits. Gives the number of entries.
    ///
    /// # Errors
    ///
    /// As the writer's; then pieces may have gone already.
    pub async fn prune(&self, world: &str, tick: i64) -> Result<u64> {
        let mut entries = 0;
        while let Some(removed) =
            answered(self.ask(|answer| Job::Prune { world: world.to_owned(), tick, answer })).await?
        {
            entries += removed;
        }
        while answered(self.ask(|answer| Job::GiveBack { answer })).await? {}
        Ok(entries)
    }

    /// The names of all worlds, sorted.
    ///
    /// # Errors
    ///
    /// `corrupt` or `io`.
    pub async fn worlds(&self) -> Result<Vec<String>> {
        let worlds = self.reader.lock().await.worlds().await?;
        let mut names: Vec<String> = worlds.into_iter().map(|world| world.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// What there is of a world.
    ///
    /// # Errors
    ///
    /// `unknown_world`, `corrupt` or `io`.
    pub async fn world(&self, world: &str) -> Result<Summary> {
        self.reader.lock().await.world(world).await
    }

    /// Batches from a tick on, about `most` bytes but at least one, and whether there are more.
    ///
    /// # Errors
    ///
    /// `unknown_world`, `corrupt` or `io`.
    pub async fn batches(&self, world: &str, tick: i64, most: usize) -> Result<Batches> {
        self.reader.lock().await.batches(world, tick, most).await
    }

    /// Entries above `after` that no mark has, about `most` bytes but at least one, and whether there are more.
    ///
    /// # Errors
    ///
    /// `unknown_world`, `corrupt` or `io`.
    pub async fn unmarked(&self, world: &str, after: i64, most: usize) -> Result<(Entries, bool)> {
        self.reader.lock().await.unmarked(world, after, most).await
    }

    /// Counts since it was opened.
    pub fn stats(&self) -> Snapshot {
        self.stats.snapshot()
    }

    /// Bytes of the database and of the log before it.
    pub fn sizes(&self) -> (u64, u64) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        (size(&self.file), size(&wal_of(&self.file)))
    }

    /// Ends it: what was asked for is done, and the files are left as one.
    pub async fn close(self) {
        // The last connection moves what is left to the database; one that only reads could not.
        self.reader.into_inner().close().await;
        drop(self.jobs);
        if let Some(writer) = self.writer {
            let _ = writer.await;
        }
    }
}
