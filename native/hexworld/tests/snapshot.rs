//! A world that is restored goes on as the one did that the snapshot was taken of.

mod support;

use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use hexworld::diff::DiffError;
use hexworld::{ReadError, Ruleset, World, WorldOptions};
use support::deeds::{Draw, actions, batch};
use support::plant::{Batch, still_ruleset, still_text};
use support::snapshots::{TEXT, busy_plant, restored, snapshot};
use support::{advance, any_state, default_ruleset, opened, sphere, world};
use wire::snapshot::Snapshot;

fn header_digest(bytes: &[u8]) -> [u8; 32] {
    Snapshot::parse(bytes).unwrap().header.digest
}

/// The economy of the plants on a field that lives and burns.
fn living_ruleset(beat: u16) -> Ruleset {
    Ruleset { economy: still_ruleset().economy, beat, ..default_ruleset() }
}

/// A world of two players on a field of everything, and the same once more.
fn twins(options: &WorldOptions, draw: &mut Draw) -> [World; 2] {
    let cells = sphere(options.frequency).cells() as usize;
    let kinds: Vec<u8> = (0..cells).map(|_| draw.below(8) as u8).collect();
    let amounts: Vec<u16> = kinds.iter().map(|_| 1 + draw.below(6) as u16).collect();
    [(); 2].map(|()| {
        let world = World::new(options.clone()).unwrap();
        world.fill(&kinds, &amounts).unwrap();
        world
    })
}

fn joins(world: &World) -> Vec<Vec<u8>> {
    let economy = world.options().ruleset.economy.as_ref().unwrap();
    let join = |name| {
        let mut joins = Batch::new(economy, name);
        joins.join(2 * 576 + 11 * 24 + 11);
        joins.actions().remove(0)
    };
    ["ann", "ben"].map(join).to_vec()
}

/// After every tick of a factory at work the world is thrown away and made anew from its snapshot; one that is left
/// alone has the same digest all the way.
#[test]
fn five_hundred_ticks_each_from_a_snapshot() {
    for (ruleset, seed) in [(living_ruleset(16), 1), (living_ruleset(1), 2), (still_ruleset(), 3)] {
        let options = WorldOptions::new(24, seed, ruleset);
        let mut draw = Draw(seed);
        let [kept, mut renewed] = twins(&options, &mut draw);
        for tick in 0..500 {
            let mut given = if tick == 0 { joins(&kept) } else { Vec::new() };
            given.extend(actions(&mut draw, &kept, tick));
            for world in [&kept, &renewed] {
                world.reserve(given.len()).unwrap();
                world.act(tick, &batch(&given)).unwrap();
                advance(world, tick + 1);
            }
            let digest = kept.digest().unwrap();
            let bytes = snapshot(&renewed);
            assert_eq!(header_digest(&bytes), digest, "tick {tick}");
            renewed = restored(&kept, &bytes, tick % 8 == 7, 1 + (tick % 2) as usize);
            assert_eq!(renewed.digest().unwrap(), digest, "tick {tick}");
            assert_eq!(renewed.outcomes(0).unwrap(), kept.outcomes(0).unwrap());
        }
        let all: Vec<u32> = (0..kept.sphere().cells()).collect();
        let machines = kept.sites(&all).unwrap().1.iter().filter(|site| site.machine.is_some()).count();
        assert!(machines > 10, "{machines} machines");
    }
}

/// Shared memory that was written by a restore is taken over by another process, and any number of threads goes on.
#[test]
fn a_successor_goes_on_in_memory_that_was_restored() {
    let plant = busy_plant();
    let bytes = snapshot(&plant.world);
    plant.run(900);
    for threads in [1, 2, 3] {
        let successor = opened(&restored(&plant.world, &bytes, true, threads));
        advance(&successor, 900);
        assert_eq!(successor.digest(), plant.world.digest());
    }
}

/// More objects than a world begins with room for, in several sections, some of them longer than a card.
#[test]
fn room_is_made_for_all_objects() {
    let kept = World::new(WorldOptions::new(24, 1, still_ruleset())).unwrap();
    kept.generate(|| true).unwrap();
    let economy = kept.options().ruleset.economy.clone().unwrap();
    for tick in 0..3 {
        let mut given = Vec::new();
        for n in 0..1500u32 {
            let mut batch = Batch::new(&economy, &format!("player {n}"));
            match tick {
                0 => batch.join(n),
                _ => (0..3).fold(&mut batch, |batch, deed| {
                    batch.push_as(&format!("{tick}, deed {deed:050}"), 2, &[&n.to_le_bytes()])
                }),
            };
            given.extend(batch.actions());
        }
        kept.reserve(given.len()).unwrap();
        kept.act(tick, &batch(&given)).unwrap();
        advance(&kept, tick + 1);
    }
    let bytes = snapshot(&kept);
    assert!(Snapshot::parse(&bytes).unwrap().sections() > 2 + 12 + 1);
    let copy = restored(&kept, &bytes, true, 1);
    assert!(copy.segments().len() > 3);
    let successor = opened(&copy);
    for world in [&kept, &successor] {
        world.reserve(0).unwrap();
        advance(world, 60);
    }
    assert_eq!(successor.digest(), kept.digest());
}

/// Large enough for the pool, with sections in several diamonds.
#[test]
fn a_field_goes_on_whatever_the_threads() {
    for (f, beat) in [(1, 1), (3, 16), (65, 16), (240, 7)] {
        let options =
            WorldOptions { threads: 2, ..WorldOptions::new(f, 9, Ruleset { beat, ..default_ruleset() }) };
        let state = any_state(&options.ruleset, sphere(f), 5);
        let kept = world(options, &state);
        for tick in [0, 21, 57] {
            advance(&kept, tick);
            let bytes = snapshot(&kept);
            assert_eq!(header_digest(&bytes), kept.digest().unwrap());
            let copy = restored(&kept, &bytes, false, 1);
            advance(&copy, tick + 20);
            advance(&kept, tick + 20);
            assert_eq!(copy.digest(), kept.digest(), "f = {f}, tick {tick}");
        }
    }
}

#[test]
fn diffs_begin_where_the_world_does() {
    for ruleset in [living_ruleset(16), Ruleset { economy: None, ..living_ruleset(16) }] {
        let options = WorldOptions::new(24, 3, ruleset);
        let kept = world(options.clone(), &any_state(&options.ruleset, sphere(24), 5));
        advance(&kept, 50);
        let copy = restored(&kept, &snapshot(&kept), false, 1);
        assert_eq!(copy.origin(), 50);
        assert_eq!(copy.diff(49), Err(DiffError::TooOld { since: 49, origin: 50 }));
        assert_eq!(copy.diff(51), Err(DiffError::Future { since: 51, tick: 50 }));
        let nothing = copy.diff(50).unwrap();
        assert_eq!(wire::field::Message::parse(&nothing).unwrap().rows().count(), 0);
        let (_, mut kinds, amounts) = copy.planes().unwrap();
        let mut amounts: Vec<u8> = amounts.iter().flat_map(|amount| amount.to_le_bytes()).collect();
        advance(&copy, 60);
        assert_eq!(wire::field::patch(&mut kinds, &mut amounts, &copy.diff(50).unwrap()), Ok(60));
        assert_eq!(copy.planes().unwrap().1, kinds);
    }
}

/// Ticks go on as fast as they can while rows are copied: a copy that was overtaken is tried again, and what comes out
/// is one whole tick.
#[test]
fn a_capture_beside_ticks_is_of_one_tick() {
    let options = WorldOptions::new(40, 5, living_ruleset(1));
    let state = any_state(&options.ruleset, sphere(40), 5);
    let past = world(options.clone(), &state);
    let ticks = 600;
    let digests: Vec<_> = (0..=ticks)
        .map(|tick| {
            advance(&past, tick);
            past.digest().unwrap()
        })
        .collect();

    let present = world(options, &state);
    let (hold, done) = (Mutex::new(()), AtomicBool::new(false));
    let (captured, overtaken) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let mut held = Some(hold.lock().unwrap());
                match present.capture(|| held = None) {
                    Ok(capture) => {
                        let bytes = capture.encode(TEXT).unwrap();
                        assert_eq!(header_digest(&bytes), digests[capture.tick as usize], "{}", capture.tick);
                        captured.fetch_add(1, Relaxed);
                    }
                    Err(fault) => {
                        assert_eq!(fault, ReadError::Busy);
                        overtaken.fetch_add(1, Relaxed);
                    }
                }
            }
        });
        for tick in 1..=ticks {
            let held = hold.lock().unwrap();
            present.advance(tick, || true).unwrap();
            drop(held);
            std::thread::yield_now();
        }
        done.store(true, Relaxed);
    });
    // While nothing ticks it always comes about.
    assert_eq!(header_digest(&snapshot(&present)), digests[ticks as usize]);
    assert!(captured.into_inner() > 0, "overtaken {overtaken:?} times");
}

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/fixtures/golden/snapshot.gps");

/// A file that an earlier release wrote, with its digest and that of 100 ticks later.
#[test]
fn the_golden_snapshot_is_still_restored() {
    let bytes = std::fs::read(GOLDEN).unwrap();
    let table = std::fs::read_to_string(GOLDEN.replace(".gps", ".tsv")).unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    let snapshot = Snapshot::parse(&bytes).unwrap();
    let ruleset = Ruleset::parse(&snapshot.ruleset).unwrap();
    let world =
        World::new(WorldOptions::new(snapshot.header.frequency, snapshot.header.seed, ruleset)).unwrap();
    assert_eq!(world.restore(&bytes).unwrap().to_string(), rows[0][0]);
    for row in rows {
        advance(&world, row[0].parse().unwrap());
        let digest: String = world.digest().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, row[1]);
    }
}

#[test]
#[ignore = "writes the golden snapshot"]
fn golden() {
    let plant = busy_plant();
    let bytes = plant.world.capture(|| ()).unwrap().encode(&still_text()).unwrap();
    let mut table = "# tick, digest: of snapshot.gps, and of the world that goes on from it\n".to_owned();
    for tick in [203, 303] {
        plant.run(tick);
        let digest: String = plant.world.digest().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        table += &format!("{tick}\t{digest}\n");
    }
    std::fs::write(GOLDEN, bytes).unwrap();
    std::fs::write(GOLDEN.replace(".gps", ".tsv"), table).unwrap();
}
