//! Rows of the tables `log` and `worlds`, which are changed in place and carry a check value over themselves.

use sqlx::{Row, SqliteConnection};

use super::chain::{self, Seal};

/// The end of a batch: what tick executed the entries up to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The tick, -1 for none.
    pub tick: i64,
    /// The last entry of the batch, 0 for none.
    pub last_seq: i64,
    /// The mark's check value.
    pub chain: i64,
}

/// What a world's row says of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last tick that is known to have been published.
    pub reached: i64,
    /// The last entry, 0 for none.
    pub last_seq: i64,
    /// Its check value.
    pub last_chain: i64,
    /// How many entries are kept.
    pub entries: i64,
    /// The newest mark.
    pub marked: Mark,
    /// The newest mark that has been pruned.
    pub cut: Mark,
    /// The check value of its last entry.
    pub cut_chain: i64,
}

impl Head {
    /// Of a world without entries.
    pub fn new(world: &str) -> Self {
        let start = chain::start(world);
        let none = Mark { tick: -1, last_seq: 0, chain: start };
        Head {
            reached: 0,
            last_seq: 0,
            last_chain: start,
            entries: 0,
            marked: none,
            cut: none,
            cut_chain: start,
        }
    }
}

/// A row of `worlds`.
#[derive(Debug, Clone)]
pub struct World {
    /// Its number: from 1, without gaps.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What whoever created it wants kept.
    pub meta: Vec<u8>,
    /// The rest.
    pub head: Head,
}

impl World {
    fn seal(&self) -> i64 {
        let head = &self.head;
        let mut seal = Seal::new("worlds");
        seal.int(self.id).bytes(self.name.as_bytes()).bytes(&self.meta).int(head.reached);
        seal.int(head.last_seq).int(head.last_chain).int(head.entries);
        for mark in [&head.marked, &head.cut] {
            seal.int(mark.tick).int(mark.last_seq).int(mark.chain);
        }
        seal.int(head.cut_chain).value()
    }
}

/// Reads all worlds; the inner error says what is damaged.
pub(crate) async fn worlds(db: &mut SqliteConnection) -> sqlx::Result<Result<Vec<World>, String>> {
    let log = sqlx::query("SELECT worlds, seal FROM log WHERE id = 1").fetch_one(&mut *db).await?;
    let (count, seal): (i64, i64) = (log.try_get(0)?, log.try_get(1)?);
    if seal != log_seal(count) {
        return Ok(Err("table log, row 1 is damaged".to_owned()));
    }
    let rows = sqlx::query(
        "SELECT id, name, meta, reached, last_seq, last_chain, entries, marked_tick, marked_seq, marked_chain, \
         cut_tick, cut_seq, cut_mark_chain, cut_chain, seal FROM worlds ORDER BY id",
    )
    .fetch_all(&mut *db)
    .await?;
    let mut worlds = Vec::with_capacity(rows.len());
    for (row, id) in rows.iter().zip(1..) {
        let mark = |at: usize| -> sqlx::Result<Mark> {
            Ok(Mark { tick: row.try_get(at)?, last_seq: row.try_get(at + 1)?, chain: row.try_get(at + 2)? })
        };
        let world = World {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            meta: row.try_get(2)?,
            head: Head {
                reached: row.try_get(3)?,
                last_seq: row.try_get(4)?,
                last_chain: row.try_get(5)?,
                entries: row.try_get(6)?,
                marked: mark(7)?,
                cut: mark(10)?,
                cut_chain: row.try_get(13)?,
            },
        };
        if world.id != id || row.try_get::<i64, _>(14)? != world.seal() {
            return Ok(Err(format!("table worlds, row {id} is damaged or missing")));
        }
        worlds.push(world);
    }
    if worlds.len() as i64 != count {
        return Ok(Err(format!("table worlds has {} rows, expected {count}", worlds.len())));
    }
    Ok(Ok(worlds))
}

fn log_seal(worlds: i64) -> i64 {
    Seal::new("log").int(worlds).value()
}

/// Writes how many worlds there are.
pub(crate) async fn put_log(db: &mut SqliteConnection, worlds: i64) -> sqlx::Result<()> {
    let put = sqlx::query("INSERT OR REPLACE INTO log (id, worlds, seal) VALUES (1, ?, ?)");
    put.bind(worlds).bind(log_seal(worlds)).execute(db).await.map(drop)
}

/// Writes a new world's row.
pub(crate) async fn insert_world(db: &mut SqliteConnection, world: &World) -> sqlx::Result<()> {
    let insert = sqlx::query(
        "INSERT INTO worlds (id, name, meta, reached, last_seq, last_chain, entries, marked_tick, marked_seq, \
         marked_chain, cut_tick, cut_seq, cut_mark_chain, cut_chain, seal) \
         VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
    );
    insert.bind(world.id).bind(world.name.clone()).bind(world.meta.clone()).execute(&mut *db).await?;
    put_head(db, world).await
}

/// Writes what changes of a world's row.
pub(crate) async fn put_head(db: &mut SqliteConnection, world: &World) -> sqlx::Result<()> {
    let head = &world.head;
    let mut put = sqlx::query(
        "UPDATE worlds SET reached = ?, last_seq = ?, last_chain = ?, entries = ?, marked_tick = ?, marked_seq = ?, \
         marked_chain = ?, cut_tick = ?, cut_seq = ?, cut_mark_chain = ?, cut_chain = ?, seal = ? WHERE id = ?",
    )
    .bind(head.reached)
    .bind(head.last_seq)
    .bind(head.last_chain)
    .bind(head.entries);
    for mark in [&head.marked, &head.cut] {
        put = put.bind(mark.tick).bind(mark.last_seq).bind(mark.chain);
    }
    let done = put.bind(head.cut_chain).bind(world.seal()).bind(world.id).execute(db).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}
