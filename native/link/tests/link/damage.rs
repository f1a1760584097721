//! Damaged files: an error that says what and where, or what was written; never anything else.

use crate::support::cut::Dice;
use crate::support::entries::{after, bytes};
use crate::support::files::{Content, Scratch, content, is_sound, panics, sample};
use link::{Error, Log, Mode, Op, Options};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

const PAGE: usize = 4096;

/// Both ways to open it.
async fn is_noticed(file: &[u8], whole: &Content, what: &str) -> usize {
    let mut noticed = 0;
    for mode in [Mode::Read, Mode::Write] {
        let dir = Scratch::with(&[("events.db", file)]);
        noticed += usize::from(is_sound(dir.path(), mode, whole, what).await);
    }
    noticed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bits_on_every_page() {
    let panics = panics();
    let (file, whole) = sample().await;
    let mut dice = Dice(1);
    let mut noticed = 0;
    let mut flips = 0;
    for page in 0..file.len() / PAGE {
        // The first page has the header and the tables' definitions.
        for _ in 0..if page == 0 { 60 } else { 6 } {
            let at = page * PAGE + dice.below(if page == 0 { 110 } else { PAGE });
            let mut file = file.clone();
            file[at] ^= 1 << dice.below(8);
            noticed += is_noticed(&file, &whole, &format!("byte {at}")).await;
            flips += 2;
        }
    }
    // The rest is in what SQLite leaves unused.
    assert!(noticed * 3 > flips, "{noticed} of {flips}");
    assert_eq!(panics(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_swapped_blank_old_or_missing_and_garbage() {
    let panics = panics();
    let (file, whole) = sample().await;
    let pages = file.len() / PAGE;
    let mut dice = Dice(2);
    for _ in 0..60 {
        let (one, other) = (dice.below(pages), dice.below(pages));
        let mut swapped = file.clone();
        swapped[one * PAGE..][..PAGE].copy_from_slice(&file[other * PAGE..][..PAGE]);
        swapped[other * PAGE..][..PAGE].copy_from_slice(&file[one * PAGE..][..PAGE]);
        is_noticed(&swapped, &whole, &format!("pages {one} and {other} swapped")).await;
        let mut blank = file.clone();
        blank[one * PAGE..][..PAGE].fill(0);
        is_noticed(&blank, &whole, &format!("page {one} blank")).await;
        let mut garbage = file.clone();
        garbage[one * PAGE..][..PAGE].iter_mut().for_each(|byte| *byte = dice.next() as u8);
        is_noticed(&garbage, &whole, &format!("page {one} garbage")).await;
        let len = dice.below(file.len());
        // An empty file is one that was never written.
        is_noticed(&file[..len.max(1)], &whole, &format!("{len} bytes")).await;
    }
    let noise: Vec<u8> = (0..20_000).map(|_| dice.next() as u8).collect();
    assert_eq!(is_noticed(&noise, &whole, "noise").await, 2);
    assert_eq!(is_noticed(b"no database at all", &whole, "a text").await, 2);
    assert_eq!(panics(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_changed_with_care() {
    let (file, whole) = sample().await;
    for statement in [
        "DELETE FROM entries WHERE world = 1 AND seq = (SELECT seq FROM entries WHERE world = 1 ORDER BY seq LIMIT 1 OFFSET 50)",
        "DELETE FROM entries WHERE world = 1 AND seq = (SELECT min(seq) FROM entries WHERE world = 1)",
        "DELETE FROM entries WHERE world = 1 AND seq = (SELECT max(seq) FROM entries WHERE world = 1)",
        "DELETE FROM entries WHERE world = 2",
        "DELETE FROM entries",
        "INSERT INTO entries SELECT world, max(seq) + 1, chain, bytes FROM entries WHERE world = 1",
        "INSERT INTO entries SELECT 1, seq + 1000000, chain, bytes FROM entries WHERE world = 2",
        "UPDATE entries SET bytes = bytes || x'00' WHERE world = 1 AND seq % 100 < 3",
        "UPDATE entries SET bytes = (SELECT bytes FROM entries b WHERE b.world = 2 AND b.seq > entries.seq ORDER BY seq LIMIT 1) \
         WHERE world = 2 AND seq < (SELECT seq FROM entries WHERE world = 2 ORDER BY seq LIMIT 1 OFFSET 2)",
        "UPDATE entries SET chain = chain + 1 WHERE world = 2 AND seq = (SELECT min(seq) FROM entries WHERE world = 2)",
        "UPDATE entries SET world = 3 - world",
        "DELETE FROM marks WHERE world = 1 AND tick = (SELECT max(tick) FROM marks WHERE world = 1)",
        "DELETE FROM marks WHERE world = 1 AND tick = (SELECT min(tick) FROM marks WHERE world = 1)",
        "DELETE FROM marks",
        "UPDATE marks SET tick = tick + 1 WHERE world = 1 AND tick = (SELECT max(tick) FROM marks WHERE world = 1)",
        "UPDATE marks SET tick = tick + 1000",
        "INSERT INTO marks SELECT world, max(tick) + 1, last_seq, chain FROM marks WHERE world = 1",
        "UPDATE worlds SET last_seq = last_seq + 1 WHERE id = 1",
        "UPDATE worlds SET reached = reached + 1 WHERE id = 2",
        "UPDATE worlds SET meta = x'01' WHERE id = 2",
        "UPDATE worlds SET name = 'other' WHERE id = 2",
        "UPDATE worlds SET name = x'ff' WHERE id = 2",
        "UPDATE worlds SET id = 3 WHERE id = 2",
        "DELETE FROM worlds WHERE id = 2",
        "DELETE FROM worlds WHERE id = 1",
        "DELETE FROM worlds",
        "DELETE FROM log",
        "UPDATE log SET worlds = 1",
        "DROP TABLE marks",
        "CREATE TABLE more (a)",
        "ALTER TABLE worlds RENAME COLUMN meta TO data",
        "PRAGMA application_id = 5",
    ] {
        let dir = Scratch::with(&[("events.db", &file)]);
        let mut db =
            SqliteConnectOptions::new().filename(dir.path().join("events.db")).connect().await.unwrap();
        // What the tables' types refuse, damage need not.
        if sqlx::raw_sql(statement).execute(&mut db).await.is_err() {
            db.close().await.unwrap();
            continue;
        }
        db.close().await.unwrap();
        assert!(is_sound(dir.path(), Mode::Write, &whole, statement).await, "{statement} was not noticed");
    }
    let dir = Scratch::with(&[("events.db", &file)]);
    let mut db = SqliteConnectOptions::new().filename(dir.path().join("events.db")).connect().await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 2").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let error = Log::open(dir.path(), Options::default()).await.unwrap_err();
    assert!(matches!(&error, Error::NewerVersion(text) if text.contains("version 2")), "{error}");
}

/// A log before the database with many transactions, as a writer that is killed leaves it, with the database. Gives
/// also the last entry after each.
async fn with_wal() -> (Vec<u8>, Vec<u8>, Vec<i64>) {
    let dir = Scratch::with(&[]);
    let log = Log::open(dir.path(), Options::default()).await.unwrap();
    log.create_world("main", b"meta".to_vec()).await.unwrap();
    let (mut seq, mut after_each) = (0, vec![0]);
    for tick in 0..40 {
        let entries = (0..20).map(|_| {
            seq = after("main", seq);
            (seq, bytes("main", seq))
        });
        let entries = entries.collect();
        log.commit("main", vec![Op::Entries(entries), Op::Mark { tick, last_seq: seq }]).await.unwrap();
        after_each.push(seq);
    }
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let files = (read("events.db"), read("events.db-wal"));
    log.close().await;
    (files.0, files.1, after_each)
}

async fn reopened(db: &[u8], wal: &[u8]) -> Result<i64, Error> {
    let dir = Scratch::with(&[("events.db", db), ("events.db-wal", wal)]);
    let log = Log::open(dir.path(), Options::default()).await?;
    let content = content(&log).await;
    log.close().await;
    Ok(content?.get("main").map_or(0, |(summary, ..)| summary.head.last_seq))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_before_the_database_that_is_torn_or_damaged() {
    let panics = panics();
    let (db, wal, after_each) = with_wal().await;
    let mut dice = Dice(3);
    let frame = PAGE + 24;
    let frames = (wal.len() - 32) / frame;
    let ends: Vec<usize> = (0..frames).filter(|at| wal[32 + at * frame + 4..][..4] != [0; 4]).collect();
    assert_eq!(reopened(&db, &wal).await.unwrap(), *after_each.last().unwrap());
    let mut shortest = 0;
    for len in (0..=wal.len()).step_by(wal.len() / 60) {
        let last = reopened(&db, &wal[..len]).await.unwrap_or_else(|error| panic!("{len}: {error}"));
        assert!(after_each.contains(&last) && last >= shortest, "{len}: {last}");
        shortest = last;
    }
    let last_but_one = ends[ends.len() - 2];
    for _ in 0..150 {
        let at = dice.below(wal.len());
        let mut wal = wal.clone();
        wal[at] ^= 1 << dice.below(8);
        let result = reopened(&db, &wal).await;
        let damaged = at.checked_sub(32).map(|at| at / frame);
        match (damaged, result) {
            (None, Err(Error::Corrupt(text))) => assert!(text.contains("the header (byte 0)"), "{text}"),
            (Some(damaged), Err(Error::Corrupt(text))) => {
                let named = format!("-wal: frame {} (byte {})", damaged + 1, 32 + damaged * frame);
                assert!(text.contains(&named), "byte {at}: {text}, expected {named}");
                assert!(damaged <= last_but_one);
            }
            // As a cut would have left it.
            (Some(damaged), Ok(last)) => {
                let half_a_header = (32 + damaged * frame) % 512 > 488 && damaged == last_but_one;
                assert!(
                    damaged > last_but_one || half_a_header,
                    "frame {} at byte {at}: dropped, {last} left",
                    damaged + 1
                );
                assert!(after_each.contains(&last));
            }
            (_, result) => panic!("byte {at}: {result:?}"),
        }
    }
    // Of another time, or of another log.
    let (other_db, other_wal, _) = with_wal().await;
    let whole = *after_each.last().unwrap();
    for (db, wal) in [(&db, &other_wal), (&other_db, &wal), (&db, &vec![7; 10_000])] {
        match reopened(db, wal).await {
            Ok(last) => assert!(last == 0 || last == whole, "{last}"),
            Err(error) => assert_eq!(error.reason(), "corrupt", "{error}"),
        }
    }
    assert_eq!(panics(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_time_than_its_log() {
    let dir = Scratch::with(&[]);
    let log = Log::open(dir.path(), Options { move_after: 50, ..Options::default() }).await.unwrap();
    log.create_world("main", Vec::new()).await.unwrap();
    let file = |name: &str| std::fs::read(dir.path().join(name)).unwrap_or_default();
    let mut old = Vec::new();
    let mut seq = 0;
    for tick in 0..300 {
        if tick == 100 {
            old = file("events.db");
        }
        seq = after("main", seq);
        let ops = vec![Op::Entries(vec![(seq, bytes("main", seq))]), Op::Mark { tick, last_seq: seq }];
        log.commit("main", ops).await.unwrap();
    }
    let wal = file("events.db-wal");
    log.close().await;
    let new = file("events.db");
    for (db, wal) in [(&old, &wal), (&new, &wal)] {
        match reopened(db, wal).await {
            Ok(last) => assert_eq!(last, seq),
            Err(error) => assert_eq!(error.reason(), "corrupt", "{error}"),
        }
    }
}

#[tokio::test]
async fn a_directory_that_is_a_file() {
    let dir = Scratch::with(&[("file", b"")]);
    let error = Log::open(&dir.path().join("file"), Options::default()).await.unwrap_err();
    assert_eq!(error.reason(), "cannot_open");
}
