//! How fast the event log is on this disk: `measure DIR`, an empty directory.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use link::{Log, Op, Options};

/// Requests whose answers are waited for at once.
const UNDER_WAY: usize = 64;

fn request(seq: &mut i64, entries: usize) -> Vec<Op> {
    let entries = (0..entries).map(|_| {
        *seq += 1;
        // Most entries are about so long.
        (*seq, seq.to_le_bytes().repeat(5))
    });
    vec![Op::Entries(entries.collect())]
}

#[tokio::main]
async fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("DIR"));
    let log = Log::open(&dir, Options::default()).await.unwrap();
    log.create_world("main", Vec::new()).await.unwrap();
    let (mut seq, mut tick) = (0, 0);
    for (size, requests) in [(1, 20_000), (10, 10_000), (100, 3_000), (1000, 500)] {
        let made: Vec<_> = (0..requests).map(|_| request(&mut seq, size)).collect();
        let start = Instant::now();
        let mut under_way = VecDeque::new();
        for ops in made {
            under_way.push_back(tokio::spawn(log.commit("main", ops)));
            if under_way.len() == UNDER_WAY {
                under_way.pop_front().unwrap().await.unwrap().unwrap();
            }
        }
        for answer in under_way {
            answer.await.unwrap().unwrap();
        }
        let rate = (size * requests) as f64 / start.elapsed().as_secs_f64();
        println!("{size} entries a request, {UNDER_WAY} requests under way: {rate:.0} entries/s");
        tick += 1;
        for part in (seq - (size * requests) as i64 + 1..=seq).collect::<Vec<_>>().chunks(50_000) {
            tick += 1;
            log.commit("main", vec![Op::Mark { tick, last_seq: *part.last().unwrap() }]).await.unwrap();
        }
    }
    let (db, wal) = log.sizes();
    println!("{db} bytes of database, {wal} before it, {:.1} bytes an entry", db as f64 / seq as f64);

    let start = Instant::now();
    let (mut from, mut read) = (0, 0);
    loop {
        let (batches, more) = log.batches("main", from, 1 << 20).await.unwrap();
        read += batches
            .iter()
            .map(|(_, _, batch)| usize::from(u16::from_le_bytes([batch[0], batch[1]])))
            .sum::<usize>();
        from = batches.last().map_or(from, |(tick, ..)| tick + 1);
        if !more {
            break;
        }
    }
    println!(
        "{read} entries read and verified: {:.0} entries/s",
        read as f64 / start.elapsed().as_secs_f64()
    );

    let mut clock = tokio::time::interval(Duration::from_millis(1));
    let mut answers = Vec::new();
    for _ in 0..10_000 {
        clock.tick().await;
        let (ops, start) = (request(&mut seq, 1), Instant::now());
        let committed = log.commit("main", ops);
        answers.push(tokio::spawn(async move { committed.await.map(|_| start.elapsed()) }));
    }
    let mut took = Vec::new();
    for answer in answers {
        took.push(answer.await.unwrap().unwrap());
    }
    took.sort_unstable();
    println!("1000 entries/s: p50 {:?}, p99 {:?}, most {:?}", took[5000], took[9900], took[9999]);
    let start = Instant::now();
    let pruned = log.prune("main", tick).await.unwrap();
    println!("{pruned} entries pruned in {:?}", start.elapsed());
    log.close().await;
}
