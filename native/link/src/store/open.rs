//! Opening the database: a new one is made, another's is refused.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};

use super::rows;
use crate::error::{Error, Result};

/// The format of the tables.
pub const VERSION: i64 = 1;
/// `gplk`: whose file this is.
const APPLICATION: i64 = 0x6770_6c6b;
pub(crate) const PAGE: u64 = 4096;
/// How long a statement waits for another process's lock. Only recovery after a crash holds one for long.
const BUSY: Duration = Duration::from_secs(10);

const TABLES: [(&str, &str); 4] = [
    (
        "entries",
        "CREATE TABLE entries (world INTEGER NOT NULL, seq INTEGER NOT NULL, chain INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (world, seq)) STRICT, WITHOUT ROWID",
    ),
    (
        "log",
        "CREATE TABLE log (id INTEGER PRIMARY KEY, worlds INTEGER NOT NULL, seal INTEGER NOT NULL) STRICT",
    ),
    (
        "marks",
        "CREATE TABLE marks (world INTEGER NOT NULL, tick INTEGER NOT NULL, last_seq INTEGER NOT NULL, chain INTEGER NOT NULL, PRIMARY KEY (world, tick)) STRICT, WITHOUT ROWID",
    ),
    (
        "worlds",
        "CREATE TABLE worlds (id INTEGER PRIMARY KEY, name TEXT NOT NULL, meta BLOB NOT NULL, reached INTEGER NOT NULL, last_seq INTEGER NOT NULL, last_chain INTEGER NOT NULL, entries INTEGER NOT NULL, marked_tick INTEGER NOT NULL, marked_seq INTEGER NOT NULL, marked_chain INTEGER NOT NULL, cut_tick INTEGER NOT NULL, cut_seq INTEGER NOT NULL, cut_mark_chain INTEGER NOT NULL, cut_chain INTEGER NOT NULL, seal INTEGER NOT NULL) STRICT",
    ),
];

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(false)
        .busy_timeout(BUSY)
        .pragma("cell_size_check", "ON")
        .pragma("trusted_schema", "OFF")
        .statement_cache_capacity(64)
        .row_buffer_size(512)
        .disable_statement_logging()
}

/// A connection that reads what is there and cannot change it.
pub(crate) async fn reader(file: &Path) -> Result<SqliteConnection> {
    let sql = |error| Error::sql(file, error);
    let mut db = options(file).read_only(true).connect().await.map_err(sql)?;
    if identity(&mut db, file).await?.is_empty() {
        return Err(Error::corrupt(file, "it holds no event log"));
    }
    Ok(db)
}

/// A connection beside the one that writes, which moves what that has written.
pub(crate) async fn mover(file: &Path) -> Result<SqliteConnection> {
    let sql = |error| Error::sql(file, error);
    let mut db = options(file).connect().await.map_err(sql)?;
    raw(&mut db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0").await.map_err(sql)?;
    Ok(db)
}

/// The connection that writes. Makes the tables if the file is new; `most_pages` bounds its size, 0 does not.
pub(crate) async fn writer(file: &Path, most_pages: u64) -> Result<SqliteConnection> {
    let sql = |error| Error::sql(file, error);
    // Nothing that changes a file is asked for before it is known to be ours.
    let mut db = options(file).create_if_missing(true).connect().await.map_err(sql)?;
    let is_new = identity(&mut db, file).await?.is_empty();
    if is_new {
        for pragma in [format!("page_size = {PAGE}"), "auto_vacuum = INCREMENTAL".to_owned()] {
            raw(&mut db, format!("PRAGMA {pragma}")).await.map_err(sql)?;
        }
    }
    raw(&mut db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")
        .await
        .map_err(sql)?;
    limit(&mut db, most_pages).await.map_err(sql)?;
    if is_new {
        create(&mut db).await.map_err(sql)?;
        let dir = file.parent().unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Error::io(dir, &error))?;
    }
    Ok(db)
}

/// Bounds the file.
pub(crate) async fn limit(db: &mut SqliteConnection, most_pages: u64) -> sqlx::Result<()> {
    let most =
        if most_pages == 0 { u64::from(u32::MAX - 1) } else { most_pages.min(u64::from(u32::MAX - 1)) };
    raw(db, format!("PRAGMA max_page_count = {most}")).await
}

/// Executes what has no parameters and no answer.
pub(crate) async fn raw(db: &mut SqliteConnection, text: impl Into<String>) -> sqlx::Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(text.into())).execute(db).await.map(drop)
}

async fn create(db: &mut SqliteConnection) -> sqlx::Result<()> {
    raw(db, "BEGIN IMMEDIATE").await?;
    for (_, table) in TABLES {
        raw(db, table).await?;
    }
    rows::put_log(db, 0).await?;
    raw(db, format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT")).await
}

/// The tables that there are: ours, or none in a new file. They are compared as bytes, before any statement uses
/// them: the driver takes it for granted that names are text.
async fn identity(db: &mut SqliteConnection, file: &Path) -> Result<Vec<Vec<u8>>> {
    let sql = |error| Error::sql(file, error);
    let number = async |db: &mut SqliteConnection, pragma: &'static str| -> sqlx::Result<i64> {
        sqlx::query(pragma).fetch_one(db).await?.try_get(0)
    };
    let application = number(db, "PRAGMA application_id").await.map_err(sql)?;
    let version = number(db, "PRAGMA user_version").await.map_err(sql)?;
    if application == APPLICATION && version > VERSION {
        return Err(Error::NewerVersion(format!(
            "{} has version {version}, this release knows {VERSION}: use the release that wrote it, or a newer one",
            file.display()
        )));
    }
    let rows = sqlx::query("SELECT CAST(sql AS BLOB) FROM sqlite_schema ORDER BY CAST(name AS BLOB)")
        .fetch_all(&mut *db)
        .await;
    let tables = rows
        .and_then(|rows| {
            rows.iter().map(|row| row.try_get::<Vec<u8>, _>(0)).collect::<sqlx::Result<Vec<_>>>()
        })
        .map_err(sql)?;
    let ours = application == APPLICATION && version == VERSION;
    let expected = TABLES.iter().map(|(_, table)| table.as_bytes());
    if ours && tables.iter().map(Vec::as_slice).eq(expected)
        || application == 0 && version == 0 && tables.is_empty()
    {
        return Ok(tables);
    }
    let what = if ours {
        "its tables are not as they were made"
    } else {
        "it is another program's database, or its header is damaged"
    };
    Err(Error::corrupt(file, what))
}
