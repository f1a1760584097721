//! Worlds large enough for a pool: threads, pauses inside a tick and readers beside it change nothing.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hexworld::random::mix64;
use hexworld::{Progress, ReadError, Ruleset, World, WorldOptions};
use support::{advance, any_state, default_ruleset, sphere, state, world};

/// A world whose every cell acts in every tick: from f = 200 on more than the two tasks of work from
/// which on a world asks for a pool, and several milliseconds of it.
fn busy(f: u32, threads: usize) -> WorldOptions {
    let ruleset = Ruleset { beat: 1, ..default_ruleset() };
    WorldOptions { threads, ..WorldOptions::new(f, 77, ruleset) }
}

/// A world that is generated while `go_on` says no now and then.
fn generated(options: WorldOptions, mut go_on: impl FnMut() -> bool + Send) -> World {
    let world = World::new(options).unwrap();
    while !world.generate(&mut go_on).unwrap().done {}
    world
}

#[test]
fn any_number_of_threads_makes_the_same_world() {
    let digests = [1, 2, 3].map(|threads| {
        let world = generated(busy(200, threads), || true);
        [0, 1, 5].map(|tick| {
            advance(&world, tick);
            world.digest().unwrap()
        })
    });
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
    assert_ne!(digests[0][1], digests[0][2]);
}

#[test]
fn a_tick_goes_on_where_it_was_stopped() {
    let f = 300;
    let whole = generated(busy(f, 1), || true);
    let start = state(&whole);
    advance(&whole, 4);
    for threads in [1, 2] {
        let mut batches = 0;
        let sliced = generated(busy(f, threads), || {
            batches += 1;
            false
        });
        assert!(batches > 1, "generated at once");
        let (mut tick, mut asked, mut paused) = (0, 0, 0);
        while tick < 4 {
            let go_on = || {
                asked += 1;
                asked % 3 == 0
            };
            let progress = sliced.advance(4, go_on).unwrap();
            if progress.tick == 0 {
                assert_eq!(state(&sliced), start, "rows of an unpublished tick are seen");
            }
            paused += u32::from(progress.tick == tick);
            tick = progress.tick;
        }
        assert!(paused > 0, "no tick was stopped inside");
        assert_eq!(state(&sliced), state(&whole), "{threads} threads");
        assert_eq!(sliced.digest(), whole.digest());
    }
}

/// Reads cells as fast as they come while another thread ticks, and compares each answer with the
/// history of the tick that it names. More readers than cores, so that some are interrupted between
/// looking for a cell and reading it; single cells as well as many, because of many one that is too
/// new gives away the rest.
fn read_beside(options: WorldOptions, ticks: u64) {
    let sphere = sphere(options.frequency);
    let scattered = (0..48).map(|n| (mix64(n) % u64::from(sphere.cells())) as u32);
    let ids: Vec<u32> = scattered.chain(sphere.cells() - 2..sphere.cells()).collect();
    let start = any_state(&options.ruleset, sphere, options.seed);

    let past = world(options.clone(), &start);
    let history: Vec<_> = (0..=ticks)
        .map(|tick| {
            advance(&past, tick);
            past.cells(&ids).expect("nobody ticks").1
        })
        .collect();

    let present = world(options, &start);
    let ticks_seen = AtomicU64::new(0);
    let read = |first: usize| {
        let mut last = None;
        for n in first.. {
            let some = if n % 4 == 0 { 0..ids.len() } else { n % ids.len()..n % ids.len() + 1 };
            match present.cells(&ids[some.clone()]) {
                Ok((tick, cells)) => {
                    assert!(last <= Some(tick), "tick {tick} after {last:?}");
                    assert_eq!(cells, history[tick as usize][some], "tick {tick}");
                    ticks_seen.fetch_add(u64::from(last != Some(tick)), Ordering::Relaxed);
                    last = Some(tick);
                }
                Err(error) => assert_eq!(error, ReadError::Busy),
            }
            if last == Some(ticks) {
                break;
            }
        }
    };
    thread::scope(|scope| {
        for reader in 0..3 {
            let read = &read;
            scope.spawn(move || read(reader));
        }
        let mut asked = 0;
        let go_on = || {
            asked += 1;
            // A rest now and then lets a reader in where there is but one core.
            if asked % (ticks / 8) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            true
        };
        assert_eq!(present.advance(ticks, go_on), Ok(Progress { tick: ticks, done: true }));
    });
    assert!(ticks_seen.into_inner() > 3, "the readers saw nothing but the end");
}

/// In the smallest world ticks overtake a reader even between two cells.
#[test]
fn readers_see_whole_ticks_of_small_worlds() {
    for (f, beat, ticks) in [(1, 1, 200_000), (12, 1, 800), (12, 16, 4000)] {
        let ruleset = Ruleset { beat, ..default_ruleset() };
        read_beside(WorldOptions::new(f, 5, ruleset), ticks);
    }
}

#[test]
fn readers_see_whole_ticks_of_a_world_on_a_pool() {
    read_beside(busy(200, 2), 24);
}

#[test]
fn cells_past_the_end_are_refused() {
    let world = generated(WorldOptions::new(3, 1, default_ruleset()), || true);
    assert_eq!(world.cells(&[0, 92]), Err(ReadError::NoSuchCell(92)));
    assert_eq!(world.cells(&[]), Ok((0, vec![])));
}
