//! The one task that writes. Requests that wait when it gets free share a transaction, and so a sync.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::log::Options;
use crate::mover::{Mover, Moving};
use crate::stats::Stats;
use crate::store::open::{limit, raw};
use crate::store::plan::{Changes, Op, State};
use crate::store::rows::{Head, World};
use crate::store::{apply, prune, rows};

/// A group ends when it has this many entries, so that nobody waits long for others.
const GROUP_ENTRIES: usize = 16_384;
const GROUP_REQUESTS: usize = 4096;
/// Pages that removing may use when the file is at its limit.
const RESERVE: u64 = 256;

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Job {
    Commit(Commit),
    Create {
        world: String,
        meta: Vec<u8>,
        answer: oneshot::Sender<Result<()>>,
    },
    /// One piece; none when there is nothing more before that tick.
    Prune {
        world: String,
        tick: i64,
        answer: oneshot::Sender<Result<Option<u64>>>,
    },
    /// Whether there may be more to give back.
    GiveBack {
        answer: oneshot::Sender<Result<bool>>,
    },
}

#[derive(Debug)]
pub(crate) struct Commit {
    pub world: String,
    pub ops: Vec<Op>,
    pub since: Instant,
    pub answer: oneshot::Sender<Result<i64>>,
}

impl Commit {
    fn entries(&self) -> usize {
        self.ops.iter().map(|op| if let Op::Entries(entries) = op { entries.len() } else { 1 }).sum()
    }
}

/// Holds the connection that writes, and the lock.
#[derive(Debug)]
pub(crate) struct Writer {
    db: SqliteConnection,
    file: PathBuf,
    most_pages: u64,
    worlds: HashMap<String, State>,
    /// A transaction failed: what is known of worlds may be more than what is written.
    stale: bool,
    mover: Mover,
    move_after: i64,
    stats: Arc<Stats>,
    _lock: Lock,
}

impl Writer {
    pub async fn new(
        db: SqliteConnection,
        mover: SqliteConnection,
        file: PathBuf,
        options: &Options,
        stats: Arc<Stats>,
        lock: Lock,
    ) -> Result<Writer> {
        let mut writer = Writer {
            db,
            file,
            most_pages: options.most_pages(),
            worlds: HashMap::new(),
            stale: true,
            mover: Mover::start(mover),
            move_after: options.move_after.into(),
            stats,
            _lock: lock,
        };
        writer.refresh().await?;
        Ok(writer)
    }

    /// Works until nobody can ask any more; then closes the database.
    pub async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let mut waiting = None;
        while let Some(job) = match waiting.take() {
            Some(job) => Some(job),
            None => jobs.recv().await,
        } {
            match job {
                Job::Commit(first) => {
                    let mut size = first.entries();
                    let mut group = vec![first];
                    while size < GROUP_ENTRIES && group.len() < GROUP_REQUESTS {
                        match jobs.try_recv() {
                            Ok(Job::Commit(next)) => {
                                size += next.entries();
                                group.push(next);
                            }
                            Ok(other) => {
                                waiting = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(group).await;
                }
                // Whoever does not wait any more needs no answer.
                Job::Create { world, meta, answer } => drop(answer.send(self.create(world, meta).await)),
                Job::Prune { world, tick, answer } => drop(answer.send(self.prune(&world, tick).await)),
                Job::GiveBack { answer } => drop(answer.send(self.give_back().await)),
            }
            self.checkpoint().await;
        }
        self.mover.end().await;
        // The last connection moves what is left.
        let _ = self.db.close().await;
    }

    fn sql(&self, error: sqlx::Error) -> Error {
        Error::sql(&self.file, error)
    }

    /// Reads worlds anew if what is known of them may be wrong.
    async fn refresh(&mut self) -> Result<()> {
        if !self.stale {
            return Ok(());
        }
        self.worlds.clear();
        let worlds = rows::worlds(&mut self.db).await.map_err(|error| Error::sql(&self.file, error))?;
        for world in worlds.map_err(|what| Error::corrupt(&self.file, what))? {
            let name = world.name.clone();
            let state =
                State::load(&mut self.db, world).await.map_err(|error| Error::sql(&self.file, error))?;
            self.worlds.insert(name, state);
        }
        self.stale = false;
        Ok(())
    }

    async fn begin(&mut self) -> sqlx::Result<()> {
        raw(&mut self.db, "BEGIN IMMEDIATE").await
    }

    /// Commits if all was written; otherwise nothing of it is.
    async fn end<T>(&mut self, written: sqlx::Result<T>) -> Result<T> {
        let committed = match written {
            Ok(value) => raw(&mut self.db, "COMMIT").await.map(|()| value),
            Err(error) => Err(error),
        };
        match committed {
            Ok(value) => Ok(value),
            Err(error) => {
                self.stale = true;
                // After some errors SQLite has done it already.
                let _ = raw(&mut self.db, "ROLLBACK").await;
                let error = self.sql(error);
                Err(self.undo_log(error).await)
            }
        }
    }

    /// Makes sure that a transaction whose sync failed is not found whole by the next start. Gives what to answer.
    async fn undo_log(&mut self, error: Error) -> Error {
        let frames = self.log_frames().await.unwrap_or(-1);
        let wal = crate::log::wal_of(&self.file);
        let cut = move || -> std::io::Result<()> {
            let file = std::fs::OpenOptions::new().write(true).open(&wal)?;
            let end =
                if frames <= 0 { 0 } else { crate::wal::end_of(frames as u64, crate::store::open::PAGE) };
            if frames >= 0 && file.metadata()?.len() > end {
                file.set_len(end)?;
            }
            file.sync_all()
        };
        let cut =
            tokio::task::spawn_blocking(cut).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match (&error, cut) {
            // SQLite does not say that a sync failed for want of room.
            (Error::Io(_), Err(error)) => Error::io(&self.file, &error),
            _ => error,
        }
    }

    async fn commit(&mut self, group: Vec<Commit>) {
        if let Err(error) = self.refresh().await {
            for commit in group {
                let _ = commit.answer.send(Err(error.clone()));
            }
            return;
        }
        let mut changes = Changes::default();
        let mut changed = BTreeSet::new();
        let mut planned = Vec::with_capacity(group.len());
        for Commit { world, ops, since, answer } in group {
            let Some(state) = self.worlds.get_mut(&world) else {
                let _ = answer.send(Err(Error::UnknownWorld(world)));
                continue;
            };
            let before = state.world.head;
            match state.apply(&mut self.db, &self.file, ops, &mut changes).await {
                Ok(last) => {
                    if state.world.head != before {
                        changed.insert(world.clone());
                    }
                    // All of it may have been written before, whatever becomes of the others.
                    planned.push((since, answer, last, changed.contains(&world)));
                }
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        let entries = changes.entries.len();
        let written = if changed.is_empty() { Ok(()) } else { self.write(changes, &changed).await };
        if written.is_ok() {
            self.stats.committed(planned.iter().map(|(since, ..)| since.elapsed()), entries);
        }
        for (_, answer, last, new) in planned {
            let _ = answer.send(if new { written.clone().map(|()| last) } else { Ok(last) });
        }
        for world in &changed {
            if let Some(state) = self.worlds.get_mut(world) {
                state.trim();
            }
        }
    }

    async fn write(&mut self, changes: Changes, changed: &BTreeSet<String>) -> Result<()> {
        let written = self.write_rows(changes, changed).await;
        self.end(written).await
    }

    async fn write_rows(&mut self, changes: Changes, changed: &BTreeSet<String>) -> sqlx::Result<()> {
        self.begin().await?;
        apply::write(&mut self.db, changes).await?;
        for world in changed {
            rows::put_head(&mut self.db, &self.worlds[world].world).await?;
        }
        Ok(())
    }

    async fn create(&mut self, name: String, meta: Vec<u8>) -> Result<()> {
        self.refresh().await?;
        if let Some(state) = self.worlds.get(&name) {
            return if state.world.meta == meta { Ok(()) } else { Err(Error::Exists(name)) };
        }
        let world = World { id: self.worlds.len() as i64 + 1, head: Head::new(&name), name, meta };
        let written = self.insert(world).await;
        let state = self.end(written).await?;
        self.worlds.insert(state.world.name.clone(), state);
        Ok(())
    }

    async fn insert(&mut self, world: World) -> sqlx::Result<State> {
        self.begin().await?;
        rows::insert_world(&mut self.db, &world).await?;
        rows::put_log(&mut self.db, world.id).await?;
        State::load(&mut self.db, world).await
    }

    async fn prune(&mut self, name: &str, tick: i64) -> Result<Option<u64>> {
        self.refresh().await?;
        if !self.worlds.contains_key(name) {
            return Err(Error::UnknownWorld(name.to_owned()));
        }
        self.limit(RESERVE).await?;
        let written = self.prune_piece(name, tick).await;
        let removed = self.end(written).await;
        self.limit(0).await?;
        removed
    }

    async fn prune_piece(&mut self, name: &str, tick: i64) -> sqlx::Result<Option<u64>> {
        self.begin().await?;
        let state = self.worlds.get_mut(name).ok_or(sqlx::Error::RowNotFound)?;
        let removed = prune::piece(&mut self.db, state, tick).await?;
        state.pruned();
        Ok(removed)
    }

    async fn give_back(&mut self) -> Result<bool> {
        self.limit(RESERVE).await?;
        let gave = match self.begin().await {
            Ok(()) => prune::give_back(&mut self.db).await,
            Err(error) => Err(error),
        };
        let gave = self.end(gave).await;
        self.limit(0).await?;
        gave
    }

    /// Bounds the file: what makes it smaller may first make it a little larger.
    async fn limit(&mut self, more: u64) -> Result<()> {
        if self.most_pages == 0 {
            return Ok(());
        }
        limit(&mut self.db, self.most_pages + more).await.map_err(|error| Error::sql(&self.file, error))
    }

    /// How many frames of the log before the database are in use.
    async fn log_frames(&mut self) -> sqlx::Result<i64> {
        sqlx::query("PRAGMA wal_checkpoint(NOOP)").fetch_one(&mut self.db).await?.try_get(1)
    }

    /// Moves pages to the database when there are many: nearly all by a connection beside this one, so that
    /// requests do not wait for it, and then the few that came meanwhile, after which the log begins anew. If that
    /// fails, nothing is lost, and it is tried again.
    async fn checkpoint(&mut self) {
        match self.mover.state() {
            Moving::Busy => {}
            Moving::Done => {
                let _ = raw(&mut self.db, "PRAGMA wal_checkpoint(PASSIVE)").await;
                self.mover.rest();
            }
            Moving::Resting => {
                if self.log_frames().await.is_ok_and(|frames| frames >= self.move_after) {
                    self.mover.ask();
                }
            }
        }
    }
}
