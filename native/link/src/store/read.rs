//! Reading, which verifies: what is given out continues the chain from what was given out or pruned before it, and
//! ends where the world's row says that the log ends.

use std::path::PathBuf;

use sqlx::{Connection, Row, SqliteConnection};

use super::chain;
use super::open::raw;
use super::rows::{self, Head, Mark, World};
use crate::error::{Error, Result};

/// How many rows are asked for at once.
const ROWS: i64 = 1024;

/// What there is of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What whoever created it wants kept.
    pub meta: Vec<u8>,
    /// The state of its log.
    pub head: Head,
}

impl Summary {
    /// Marks before this tick have been pruned; 0 if none has.
    pub fn first_tick(&self) -> i64 {
        self.head.cut.tick + 1
    }
}

/// Entries with their numbers.
pub type Entries = Vec<(i64, Vec<u8>)>;

/// Batches: tick, last entry and bytes; and whether there are more.
pub type Batches = (Vec<(i64, i64, Vec<u8>)>, bool);

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    pub db: SqliteConnection,
    pub file: PathBuf,
}

impl Reader {
    /// Ends the connection.
    pub async fn close(self) {
        // It wrote nothing that could be lost.
        let _ = self.db.close().await;
    }

    /// From here on one state of the database is read, whatever is written.
    async fn begin(&mut self) -> Result<()> {
        raw(&mut self.db, "BEGIN").await.map_err(|error| self.sql(error))
    }

    async fn end<T>(&mut self, result: Result<T>) -> Result<T> {
        let ended = raw(&mut self.db, "ROLLBACK").await.map_err(|error| self.sql(error));
        result.and_then(|value| ended.map(|()| value))
    }

    fn sql(&self, error: sqlx::Error) -> Error {
        Error::sql(&self.file, error)
    }

    fn corrupt(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(&self.file, what)
    }

    /// All worlds.
    pub async fn worlds(&mut self) -> Result<Vec<World>> {
        // One statement for each table; in between, a world may be created.
        self.begin().await?;
        let worlds = self.all().await;
        self.end(worlds).await
    }

    async fn all(&mut self) -> Result<Vec<World>> {
        rows::worlds(&mut self.db).await.map_err(|error| self.sql(error))?.map_err(|what| self.corrupt(what))
    }

    async fn find(&mut self, name: &str) -> Result<World> {
        let found = self.all().await?.into_iter().find(|world| world.name == name);
        found.ok_or_else(|| Error::UnknownWorld(name.to_owned()))
    }

    /// What there is of a world.
    pub async fn world(&mut self, name: &str) -> Result<Summary> {
        self.begin().await?;
        let world = self.find(name).await;
        let world = self.end(world).await?;
        Ok(Summary { meta: world.meta, head: world.head })
    }

    /// Batches from `tick` on, about `most` bytes of them but at least one.
    pub async fn batches(&mut self, name: &str, tick: i64, most: usize) -> Result<Batches> {
        self.begin().await?;
        let batches = self.read_batches(name, tick, most).await;
        self.end(batches).await
    }

    async fn read_batches(&mut self, name: &str, tick: i64, most: usize) -> Result<Batches> {
        let world = self.find(name).await?;
        let mut before = self.mark_before(&world, tick).await?;
        let mut chain = self.chain_at(&world, before.last_seq).await?;
        let mut batches = Vec::new();
        let mut size = 0;
        loop {
            let marks = sqlx::query(
                "SELECT tick, last_seq, chain FROM marks WHERE world = ? AND tick >= ? ORDER BY tick LIMIT ?",
            )
            .bind(world.id)
            .bind(tick.max(before.tick + 1))
            .bind(ROWS)
            .fetch_all(&mut self.db)
            .await
            .map_err(|error| self.sql(error))?;
            if marks.is_empty() {
                break;
            }
            let marks: sqlx::Result<Vec<Mark>> = marks.iter().map(mark).collect();
            for mark in marks.map_err(|error| self.sql(error))? {
                if !batches.is_empty() && size >= most {
                    return Ok((batches, true));
                }
                let (bytes, last) = self.batch(&world, before.last_seq, mark, chain).await?;
                if mark.chain != chain::mark(before.chain, name, mark.tick, mark.last_seq, last) {
                    return Err(self.corrupt(format_args!(
                        "world {name}: the mark of tick {} is damaged, or one before it is missing",
                        mark.tick
                    )));
                }
                size += bytes.len();
                batches.push((mark.tick, mark.last_seq, bytes));
                (before, chain) = (mark, last);
            }
        }
        if before != world.head.marked {
            return Err(self.corrupt(format_args!(
                "world {name}: the last mark is of tick {}, expected {}",
                before.tick, world.head.marked.tick
            )));
        }
        Ok((batches, false))
    }

    /// The newest mark before `tick` that is there, or the end of what was pruned.
    async fn mark_before(&mut self, world: &World, tick: i64) -> Result<Mark> {
        let before = sqlx::query(
            "SELECT tick, last_seq, chain FROM marks WHERE world = ? AND tick < ? ORDER BY tick DESC LIMIT 1",
        );
        let row = before.bind(world.id).bind(tick).fetch_optional(&mut self.db).await;
        let mark = row.and_then(|row| row.as_ref().map(mark).transpose()).map_err(|error| self.sql(error))?;
        Ok(mark.unwrap_or(world.head.cut))
    }

    /// The check value of an entry that ends a batch.
    async fn chain_at(&mut self, world: &World, seq: i64) -> Result<i64> {
        if seq == world.head.cut.last_seq {
            return Ok(world.head.cut_chain);
        }
        let row =
            sqlx::query("SELECT chain FROM entries WHERE world = ? AND seq = ?").bind(world.id).bind(seq);
        let row = row.fetch_optional(&mut self.db).await.map_err(|error| self.sql(error))?;
        let row = row.ok_or_else(|| {
            self.corrupt(format_args!("world {}: entry {seq} is missing, a mark names it", world.name))
        })?;
        row.try_get(0).map_err(|error| self.sql(error))
    }

    /// The batch that a mark ends, and the check value of its last entry.
    async fn batch(&mut self, world: &World, after: i64, mark: Mark, chain: i64) -> Result<(Vec<u8>, i64)> {
        let mut walk = Walk { world, seq: after, chain };
        let mut bytes = vec![0, 0];
        let mut count: u32 = 0;
        loop {
            let entries = self.entries(&mut walk, mark.last_seq, ROWS).await?;
            let full = entries.len() as i64 == ROWS;
            for (seq, entry) in entries {
                let len = u16::try_from(entry.len()).map_err(|_| {
                    self.corrupt(format_args!(
                        "world {}: entry {seq} has {} bytes, at most 65535 are possible",
                        world.name,
                        entry.len()
                    ))
                })?;
                bytes.extend_from_slice(&len.to_le_bytes());
                bytes.extend_from_slice(&entry);
                count += 1;
            }
            if !full {
                break;
            }
        }
        let count = u16::try_from(count).ok().filter(|count| *count > 0 && walk.seq == mark.last_seq);
        let Some(count) = count else {
            return Err(self.corrupt(format_args!(
                "world {}: the mark of tick {} ends at entry {}, the entries before it end at {}",
                world.name, mark.tick, mark.last_seq, walk.seq
            )));
        };
        bytes[..2].copy_from_slice(&count.to_le_bytes());
        Ok((bytes, walk.chain))
    }

    /// The next entries up to `last`.
    async fn entries(&mut self, walk: &mut Walk<'_>, last: i64, most: i64) -> Result<Entries> {
        let rows = sqlx::query("SELECT seq, chain, bytes FROM entries WHERE world = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?")
            .bind(walk.world.id)
            .bind(walk.seq)
            .bind(last)
            .bind(most)
            .fetch_all(&mut self.db)
            .await
            .map_err(|error| self.sql(error))?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let columns = || -> sqlx::Result<(i64, i64, Vec<u8>)> {
                Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
            };
            let (seq, chain, bytes) = columns().map_err(|error| self.sql(error))?;
            let expected = chain::entry(walk.chain, &walk.world.name, seq, &bytes);
            if chain != expected || seq <= walk.seq {
                return Err(self.corrupt(format_args!(
                    "world {}: entry {seq} is damaged, or one between it and entry {} is missing",
                    walk.world.name, walk.seq
                )));
            }
            (walk.seq, walk.chain) = (seq, chain);
            entries.push((seq, bytes));
        }
        Ok(entries)
    }

    /// Entries above `after` that no mark has, about `most` bytes of them but at least one.
    pub async fn unmarked(&mut self, name: &str, after: i64, most: usize) -> Result<(Entries, bool)> {
        self.begin().await?;
        let entries = self.read_unmarked(name, after, most).await;
        self.end(entries).await
    }

    async fn read_unmarked(&mut self, name: &str, after: i64, most: usize) -> Result<(Entries, bool)> {
        let world = self.find(name).await?;
        let head = &world.head;
        let marked = head.marked.last_seq;
        // Whoever pages names the last entry that they have; any other number is between two entries.
        let from = sqlx::query(
            "SELECT seq FROM entries WHERE world = ? AND seq > ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
        );
        let from = from.bind(world.id).bind(marked).bind(after).fetch_optional(&mut self.db).await;
        let from = from
            .and_then(|row| row.map_or(Ok(marked), |row| row.try_get(0)))
            .map_err(|error| self.sql(error))?;
        let mut walk = Walk { world: &world, seq: from, chain: self.chain_at(&world, from).await? };
        let mut entries: Entries = Vec::new();
        let mut size = 0;
        loop {
            let next = self.entries(&mut walk, i64::MAX, ROWS).await?;
            if next.is_empty() {
                break;
            }
            for (seq, bytes) in next {
                if !entries.is_empty() && size >= most {
                    return Ok((entries, true));
                }
                size += bytes.len();
                entries.push((seq, bytes));
            }
        }
        if (walk.seq, walk.chain) != (head.last_seq, head.last_chain) {
            return Err(self.corrupt(format_args!(
                "world {name}: the last entry is {}, expected {}",
                walk.seq, head.last_seq
            )));
        }
        Ok((entries, false))
    }
}

/// How far a world's entries have been verified.
struct Walk<'a> {
    world: &'a World,
    seq: i64,
    chain: i64,
}

fn mark(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Mark> {
    Ok(Mark { tick: row.try_get(0)?, last_seq: row.try_get(1)?, chain: row.try_get(2)? })
}
