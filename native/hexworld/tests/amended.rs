//! Worlds whose rows are changed outside their beat, by what is not the field rule.

mod support;

use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use hexworld::diff::DiffError;
use hexworld::{ReadError, Segment, World, WorldOptions};
use proptest::prelude::*;
use shm::rows::{Cells, Rows, Shape};
use wire::field::patch;

/// Only to notice a test that hangs.
const WATCHDOG: Duration = Duration::from_secs(120);

/// A world, and its memory.
fn world(f: u32, seed: u64) -> (World, Rows) {
    let options = WorldOptions::new(f, seed, support::default_ruleset());
    let world = World::shared(options).unwrap();
    let fd = world.segment().fd().unwrap().try_clone_to_owned().unwrap();
    let segment = Segment::open(fd, world.segment().len()).unwrap();
    let rows = Rows::open(segment, Shape::new(10 * f, f, 2)).unwrap();
    world.generate(|| true).unwrap();
    (world, rows)
}

/// Kinds and amounts of all cells, amounts as bytes.
fn planes(rows: &Rows, tick: u64) -> (Vec<u8>, Vec<u8>) {
    let (mut kinds, mut amounts, mut cells) = (vec![], vec![], Cells::default());
    for row in 0..rows.shape().rows() {
        rows.read(row, tick, &mut cells).unwrap();
        kinds.extend(cells.codes.iter().map(|code| code & 7));
        amounts.extend(cells.amounts.iter().flat_map(|amount| amount.to_le_bytes()));
    }
    (kinds, amounts)
}

/// One tick in which the first cell of each of `changed` becomes like the last one of the row after it.
fn tick(world: &World, rows: &Rows, changed: impl Iterator<Item = u32>) -> u64 {
    let tick = world.tick().unwrap();
    for row in changed {
        let like = (row + 1) % (rows.shape().rows() - 2);
        let (version, col) = (rows.current(like, tick), rows.shape().len(like) - 1);
        let cell = (0, rows.code(like, version, col), rows.amount(like, version, col));
        rows.amend(row % rows.shape().rows(), tick, rows.needed(), &[cell]);
    }
    world.advance(tick + 1, || true).unwrap().tick
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn diffs_tell_what_was_changed(
        f in 2u32..9, seed in any::<u64>(), steps in prop::collection::vec((0u32..90, 0u64..20), 1..60),
    ) {
        let (world, rows) = world(f, seed);
        let mut past = vec![planes(&rows, 0)];
        for (changed, back) in steps {
            let now = tick(&world, &rows, [changed, changed * 7].into_iter());
            past.push(planes(&rows, now));
            let since = now.saturating_sub(back);
            let (mut kinds, mut amounts) = past[since as usize].clone();
            let diff = world.diff(since).unwrap();
            prop_assert_eq!(patch(&mut kinds, &mut amounts, &diff), Ok(now));
            prop_assert_eq!(&(kinds, amounts), &past[now as usize], "from {} to {}", since, now);
            prop_assert_eq!(world.check(), Ok((now, true)));
            let id = (seed % u64::from(world.sphere().cells())) as u32;
            prop_assert!(world.cells(&[id]).is_ok());
        }
    }
}

#[test]
fn stamps_before_the_beat_and_after_the_tick_are_noticed() {
    let (world, rows) = world(12, 7);
    while tick(&world, &rows, 0..12) < 40 {}
    let planes = world.planes();
    let words = world.segment().words64(256, 122 * 4).unwrap();
    for row in 0..122 {
        let stamps = &words[4 * row..4 * row + 2];
        let current = usize::from(rows.current(row as u32, 40).stamp == stamps[1].load(Relaxed));
        let id = (0..1442).find(|&id| world.sphere().site(id).row == row as u32).unwrap();
        let old = stamps[current].load(Relaxed);
        // What every row was 40 ticks ago, and what it will be.
        for nonsense in [0, 41, 1 << 40, u64::MAX] {
            stamps[current].store(nonsense, Relaxed);
            let other = stamps[1 - current].swap(u64::MAX, Relaxed);
            assert!(matches!(world.cells(&[id]), Err(ReadError::Corrupt(_))), "row {row}: {nonsense}");
            assert!(matches!(world.planes(), Err(ReadError::Corrupt(_))), "row {row}: {nonsense}");
            assert!(matches!(world.diff(0), Err(DiffError::Read(ReadError::Corrupt(_)))), "row {row}");
            assert!(world.digest().is_err() && world.check().is_err(), "row {row}: {nonsense}");
            stamps[1 - current].store(other, Relaxed);
        }
        stamps[current].store(old, Relaxed);
    }
    assert_eq!((world.planes(), world.check()), (planes, Ok((40, true))));
}

#[test]
fn diffs_beside_a_ticker_tell_what_was_changed() {
    let (world, rows) = world(12, 3);
    let past = Mutex::new(vec![planes(&rows, 0)]);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let ticker = scope.spawn(|| {
            for n in 0..3_000 {
                // Few rows, again and again: so that versions are gone before they are read.
                let now = tick(&world, &rows, (0..3).map(|k| (n % 5) + 17 * k));
                past.lock().unwrap().push(planes(&rows, now));
            }
        });
        let (mut since, mut told) = (0, 0);
        while !ticker.is_finished() && start.elapsed() < WATCHDOG {
            let diff = match world.diff(since) {
                Ok(diff) => diff,
                Err(error) => {
                    assert_eq!(error, ReadError::Busy.into());
                    continue;
                }
            };
            let tick = u64::from_le_bytes(diff[16..24].try_into().unwrap());
            // The ticker notes it down after it is published.
            while past.lock().unwrap().len() as u64 <= tick {
                assert!(start.elapsed() < WATCHDOG);
                std::thread::yield_now();
            }
            let (mut before, now) = {
                let past = past.lock().unwrap();
                (past[since as usize].clone(), past[tick as usize].clone())
            };
            assert_eq!(patch(&mut before.0, &mut before.1, &diff), Ok(tick));
            assert!(before == now, "from {since} to {tick}");
            since = tick.saturating_sub(told % 12);
            told += 1;
        }
        ticker.join().unwrap();
        assert!(told > 20, "{told} diffs");
    });
}
