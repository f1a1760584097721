//! What a request would change, worked out before anything is written: so a request that is refused leaves no
//! trace in the transaction that it would have shared with others.

use std::collections::VecDeque;

use sqlx::{Row, SqliteConnection};

use super::chain;
use super::rows::{Mark, World};
use crate::error::{Error, Result};

/// The most entries in a batch: their count is a u16 there.
pub const MOST_ENTRIES: usize = 65_535;
/// The most bytes in a batch, so that it can be handed over in one piece.
pub const MOST_BATCH: usize = 32 << 20;

/// An operation of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Entries were accepted.
    Entries(Vec<(i64, Vec<u8>)>),
    /// A tick executes what was accepted up to an entry.
    Mark {
        /// The tick.
        tick: i64,
        /// The entry.
        last_seq: i64,
    },
    /// A tick did not execute after all.
    Unmark {
        /// The tick.
        tick: i64,
    },
    /// A tick was published.
    Reached {
        /// The tick.
        tick: i64,
    },
}

/// Rows that a group of requests adds and removes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub entries: Vec<NewEntry>,
    /// World and mark.
    pub marks: Vec<(i64, Mark)>,
    /// World and tick; they go before new marks come.
    pub unmarks: Vec<(i64, i64)>,
}

#[derive(Debug)]
pub(crate) struct NewEntry {
    pub world: i64,
    pub seq: i64,
    pub chain: i64,
    pub bytes: Vec<u8>,
}

/// An entry as a mark needs it.
#[derive(Debug, Clone, Copy)]
struct Recent {
    seq: i64,
    chain: i64,
    len: usize,
}

/// A world with the end of its log.
#[derive(Debug)]
pub(crate) struct State {
    pub world: World,
    /// All entries above `recent_after`, which is not above the newest mark's last entry.
    recent: VecDeque<Recent>,
    recent_after: i64,
    /// The newest marks, in order; there may be older ones in the table.
    marks: Vec<Mark>,
}

impl State {
    /// Of a world whose row has been read.
    pub async fn load(db: &mut SqliteConnection, world: World) -> sqlx::Result<State> {
        let newest = world.head.marked;
        let mut state = State { world, recent: VecDeque::new(), recent_after: 0, marks: Vec::new() };
        state.recent_after = state.world.head.last_seq;
        state.reach_back(db, newest.last_seq).await?;
        if newest.tick > state.world.head.cut.tick {
            state.marks.push(newest);
        }
        Ok(state)
    }

    /// Makes sure that all entries above `seq` are known.
    async fn reach_back(&mut self, db: &mut SqliteConnection, seq: i64) -> sqlx::Result<()> {
        if self.recent_after <= seq {
            return Ok(());
        }
        let rows = sqlx::query("SELECT seq, chain, length(bytes) FROM entries WHERE world = ? AND seq > ? AND seq <= ? ORDER BY seq DESC")
            .bind(self.world.id)
            .bind(seq)
            .bind(self.recent_after)
            .fetch_all(db)
            .await?;
        for row in rows {
            let len: i64 = row.try_get(2)?;
            self.recent.push_front(Recent {
                seq: row.try_get(0)?,
                chain: row.try_get(1)?,
                len: len as usize,
            });
        }
        self.recent_after = seq;
        Ok(())
    }

    /// Applies a request: all of it, or nothing if it is refused. Gives the last entry in the log.
    ///
    /// `file` is only for the words of errors.
    pub async fn apply(
        &mut self,
        db: &mut SqliteConnection,
        file: &std::path::Path,
        ops: Vec<Op>,
        changes: &mut Changes,
    ) -> Result<i64> {
        let head = self.world.head;
        let marks = self.marks.clone();
        let (entries, new_marks, unmarks) =
            (changes.entries.len(), changes.marks.clone(), changes.unmarks.len());
        let result = self.attempt(db, file, ops, changes).await;
        if result.is_err() {
            self.recent.truncate(self.recent.len() - (changes.entries.len() - entries));
            self.world.head = head;
            self.marks = marks;
            changes.entries.truncate(entries);
            changes.marks = new_marks;
            changes.unmarks.truncate(unmarks);
        }
        result
    }

    async fn attempt(
        &mut self,
        db: &mut SqliteConnection,
        file: &std::path::Path,
        ops: Vec<Op>,
        changes: &mut Changes,
    ) -> Result<i64> {
        let mut before = 0;
        for op in ops {
            match op {
                Op::Entries(entries) => {
                    for (seq, bytes) in entries {
                        if seq <= before {
                            return Err(Error::OutOfOrder(format!(
                                "entry {seq} follows entry {before}: number them upwards"
                            )));
                        }
                        before = seq;
                        self.add(seq, bytes, changes);
                    }
                }
                Op::Mark { tick, last_seq } => self
                    .mark(db, tick, last_seq, changes)
                    .await
                    .map_err(|refused| refused.into_error(file))?,
                Op::Unmark { tick } => {
                    self.unmark(db, tick, changes).await.map_err(|error| Error::sql(file, error))?
                }
                Op::Reached { tick } => self.world.head.reached = self.world.head.reached.max(tick),
            }
        }
        Ok(self.world.head.last_seq)
    }

    fn add(&mut self, seq: i64, bytes: Vec<u8>, changes: &mut Changes) {
        let head = &mut self.world.head;
        // Sent again by somebody who does not know whether it was written.
        if seq <= head.last_seq {
            return;
        }
        let chain = chain::entry(head.last_chain, &self.world.name, seq, &bytes);
        (head.last_seq, head.last_chain) = (seq, chain);
        head.entries += 1;
        self.recent.push_back(Recent { seq, chain, len: bytes.len() });
        changes.entries.push(NewEntry { world: self.world.id, seq, chain, bytes });
    }

    async fn mark(
        &mut self,
        db: &mut SqliteConnection,
        tick: i64,
        last_seq: i64,
        changes: &mut Changes,
    ) -> std::result::Result<(), Refused> {
        let newest = self.world.head.marked;
        if tick <= newest.tick {
            return match self.find_mark(db, tick).await? {
                Some(found) if found == last_seq => Ok(()),
                _ => Err(Refused::Order(format!(
                    "the mark of tick {tick} follows that of tick {}: unmark that first",
                    newest.tick
                ))),
            };
        }
        if last_seq <= newest.last_seq {
            return Err(Refused::Order(format!(
                "the mark of tick {tick} ends at entry {last_seq}, that of tick {} at {}: a mark has entries",
                newest.tick, newest.last_seq
            )));
        }
        let from = self.recent.partition_point(|entry| entry.seq <= newest.last_seq);
        let to = self.recent.partition_point(|entry| entry.seq <= last_seq);
        let Some(last) = (to > from).then(|| self.recent[to - 1]).filter(|last| last.seq == last_seq) else {
            return Err(Refused::Order(format!(
                "the mark of tick {tick} ends at entry {last_seq}, which is not in the log"
            )));
        };
        let bytes = self.recent.range(from..to).map(|entry| entry.len + 2).sum::<usize>() + 2;
        if to - from > MOST_ENTRIES || bytes > MOST_BATCH {
            return Err(Refused::Bad(format!(
                "the mark of tick {tick} has {} entries of {bytes} bytes: at most {MOST_ENTRIES} and {MOST_BATCH}, mark fewer",
                to - from
            )));
        }
        let chain = chain::mark(newest.chain, &self.world.name, tick, last_seq, last.chain);
        let mark = Mark { tick, last_seq, chain };
        self.world.head.marked = mark;
        self.marks.push(mark);
        changes.marks.push((self.world.id, mark));
        Ok(())
    }

    /// The last entry of the mark of `tick`.
    async fn find_mark(&self, db: &mut SqliteConnection, tick: i64) -> sqlx::Result<Option<i64>> {
        let cut = &self.world.head.cut;
        if let Some(mark) = self.marks.iter().chain([cut]).find(|mark| mark.tick == tick && tick >= 0) {
            return Ok(Some(mark.last_seq));
        }
        // Those that this group removes are newer than those that are known.
        if self.marks.first().is_some_and(|oldest| oldest.tick < tick) {
            return Ok(None);
        }
        let row = sqlx::query("SELECT last_seq FROM marks WHERE world = ? AND tick = ?")
            .bind(self.world.id)
            .bind(tick);
        row.fetch_optional(db).await?.map(|row| row.try_get(0)).transpose()
    }

    async fn unmark(
        &mut self,
        db: &mut SqliteConnection,
        tick: i64,
        changes: &mut Changes,
    ) -> sqlx::Result<()> {
        let head = &self.world.head;
        if head.marked.tick != tick || tick <= head.cut.tick {
            return Ok(());
        }
        let id = self.world.id;
        match changes.marks.iter().rposition(|(world, mark)| *world == id && mark.tick == tick) {
            Some(at) => drop(changes.marks.remove(at)),
            None => changes.unmarks.push((id, tick)),
        }
        self.marks.pop();
        if self.marks.is_empty() {
            let row = sqlx::query(
                "SELECT tick, last_seq, chain FROM marks WHERE world = ? AND tick < ? ORDER BY tick DESC LIMIT 1",
            );
            if let Some(row) = row.bind(id).bind(tick).fetch_optional(&mut *db).await? {
                self.marks.push(Mark {
                    tick: row.try_get(0)?,
                    last_seq: row.try_get(1)?,
                    chain: row.try_get(2)?,
                });
            }
        }
        self.world.head.marked = self.marks.last().copied().unwrap_or(self.world.head.cut);
        self.reach_back(db, self.world.head.marked.last_seq).await
    }

    /// Forgets what only the next unmark but one would need. What was planned is in the tables now.
    pub fn trim(&mut self) {
        let surplus = self.marks.len().saturating_sub(2);
        self.marks.drain(..surplus);
        let keep_after = match self.marks.as_slice() {
            [before, _] => before.last_seq,
            _ => self.world.head.cut.last_seq,
        };
        if keep_after > self.recent_after {
            let gone = self.recent.partition_point(|entry| entry.seq <= keep_after);
            self.recent.drain(..gone);
            self.recent_after = keep_after;
        }
    }

    /// Marks up to the cut, and their entries, are removed.
    pub fn pruned(&mut self) {
        let cut = self.world.head.cut.tick;
        self.marks.retain(|mark| mark.tick > cut);
        self.trim();
    }
}

enum Refused {
    Order(String),
    Bad(String),
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Refused::Sql(error)
    }
}

impl Refused {
    fn into_error(self, file: &std::path::Path) -> Error {
        match self {
            Refused::Order(text) => Error::OutOfOrder(text),
            Refused::Bad(text) => Error::BadRequest(text),
            Refused::Sql(error) => Error::sql(file, error),
        }
    }
}
