//! Writing a group's changes: many rows with a statement, and few different statements, so that they stay
//! prepared.

use sqlx::SqliteConnection;

use super::plan::{Changes, NewEntry};
use super::rows::Mark;

/// Rows of the largest statement.
const ROWS: usize = 256;

/// Writes the changes in the transaction that is open.
pub(crate) async fn write(db: &mut SqliteConnection, changes: Changes) -> sqlx::Result<()> {
    for (world, tick) in changes.unmarks {
        let delete = sqlx::query("DELETE FROM marks WHERE world = ? AND tick = ?").bind(world).bind(tick);
        if delete.execute(&mut *db).await?.rows_affected() != 1 {
            return Err(sqlx::Error::RowNotFound);
        }
    }
    insert_entries(db, changes.entries).await?;
    insert_marks(db, &changes.marks).await
}

/// Sizes of statements that make up `rows`: powers of two, the largest first.
fn sizes(mut rows: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let size = ROWS.min(1 << rows.checked_ilog2()?);
        rows -= size;
        Some(size)
    })
}

fn text(head: &str, rows: usize) -> sqlx::AssertSqlSafe<String> {
    let mut text = String::with_capacity(head.len() + rows * 10);
    text.push_str(head);
    for row in 0..rows {
        text.push_str(if row == 0 { " (?,?,?,?)" } else { ",(?,?,?,?)" });
    }
    sqlx::AssertSqlSafe(text)
}

async fn insert_entries(db: &mut SqliteConnection, entries: Vec<NewEntry>) -> sqlx::Result<()> {
    let sizes = sizes(entries.len());
    let mut entries = entries.into_iter();
    for rows in sizes {
        let mut insert = sqlx::query(text("INSERT INTO entries (world, seq, chain, bytes) VALUES", rows));
        for NewEntry { world, seq, chain, bytes } in entries.by_ref().take(rows) {
            insert = insert.bind(world).bind(seq).bind(chain).bind(bytes);
        }
        insert.execute(&mut *db).await?;
    }
    Ok(())
}

async fn insert_marks(db: &mut SqliteConnection, marks: &[(i64, Mark)]) -> sqlx::Result<()> {
    let mut marks = marks.iter();
    for rows in sizes(marks.len()) {
        let mut insert = sqlx::query(text("INSERT INTO marks (world, tick, last_seq, chain) VALUES", rows));
        for (world, mark) in marks.by_ref().take(rows) {
            insert = insert.bind(world).bind(mark.tick).bind(mark.last_seq).bind(mark.chain);
        }
        insert.execute(&mut *db).await?;
    }
    Ok(())
}
