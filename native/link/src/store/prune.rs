//! Removing what a snapshot has made superfluous, in pieces that are short beside a commit.

use sqlx::{Row, SqliteConnection};

use super::open::raw;
use super::plan::State;
use super::rows::{self, Mark};

/// About how many entries go at once.
const PIECE: i64 = 2000;
/// Pages that are given back at once.
const PAGES: i64 = 256;

/// Removes the oldest marks before `tick`, with their entries, in the transaction that is open. Gives how many
/// entries went; none if there is no such mark.
pub(crate) async fn piece(
    db: &mut SqliteConnection,
    state: &mut State,
    tick: i64,
) -> sqlx::Result<Option<u64>> {
    let world = &mut state.world;
    // Where a piece ends, if there is as much.
    let end =
        sqlx::query("SELECT seq FROM entries WHERE world = ? AND seq > ? ORDER BY seq LIMIT 1 OFFSET ?")
            .bind(world.id)
            .bind(world.head.cut.last_seq)
            .bind(PIECE)
            .fetch_optional(&mut *db)
            .await?;
    let end: i64 = end.map_or(Ok(i64::MAX), |row| row.try_get(0))?;
    let marks = sqlx::query(
        "SELECT tick, last_seq, chain FROM marks WHERE world = ? AND tick < ? ORDER BY tick LIMIT ?",
    )
    .bind(world.id)
    .bind(tick)
    .bind(PIECE)
    .fetch_all(&mut *db)
    .await?;
    let mut cut = None;
    for row in marks {
        let mark = Mark { tick: row.try_get(0)?, last_seq: row.try_get(1)?, chain: row.try_get(2)? };
        if cut.is_some() && mark.last_seq > end {
            break;
        }
        cut = Some(mark);
    }
    let Some(cut) = cut else { return Ok(None) };
    let last = sqlx::query("SELECT chain FROM entries WHERE world = ? AND seq = ?")
        .bind(world.id)
        .bind(cut.last_seq);
    world.head.cut_chain = last.fetch_one(&mut *db).await?.try_get(0)?;
    world.head.cut = cut;
    let entries =
        sqlx::query("DELETE FROM entries WHERE world = ? AND seq <= ?").bind(world.id).bind(cut.last_seq);
    let removed = entries.execute(&mut *db).await?.rows_affected();
    sqlx::query("DELETE FROM marks WHERE world = ? AND tick <= ?")
        .bind(world.id)
        .bind(cut.tick)
        .execute(&mut *db)
        .await?;
    world.head.entries -= removed as i64;
    rows::put_head(db, world).await?;
    Ok(Some(removed))
}

/// Gives pages back to the file system if a quarter of the file or more is free. Tells whether it did, so that
/// there may be more.
pub(crate) async fn give_back(db: &mut SqliteConnection) -> sqlx::Result<bool> {
    let free: i64 = sqlx::query("PRAGMA freelist_count").fetch_one(&mut *db).await?.try_get(0)?;
    let all: i64 = sqlx::query("PRAGMA page_count").fetch_one(&mut *db).await?.try_get(0)?;
    if free < PAGES || free < all / 4 {
        return Ok(false);
    }
    raw(db, format!("PRAGMA incremental_vacuum({PAGES})")).await?;
    Ok(true)
}
