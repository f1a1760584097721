//! A world that is restored goes on as the one did that the snapshot was taken of.

mod support;

use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use hexworld::diff::DiffError;
use hexworld::snapshot::RestoreError;
use hexworld::{ReadError, Ruleset, World, WorldOptions};
use proptest::prelude::*;
use support::deeds::{Draw, actions, batch};
use support::plant::{Batch, Plant, still_ruleset, still_text};
use support::{advance, any_state, cases, default_ruleset, opened, sphere, world};
use wire::snapshot::{Packed, Records, Snapshot, write};

const TEXT: &str = "whose hash is in the header";

fn snapshot(world: &World) -> Vec<u8> {
    world.capture(|| ()).expect("nothing ticks").encode(TEXT).expect("a small text")
}

/// A world of the same options from a snapshot, in memory of its own or to be shared.
fn restored(of: &World, bytes: &[u8], shared: bool, threads: usize) -> World {
    let options = WorldOptions { threads, ..of.options().clone() };
    let world = if shared { World::shared(options) } else { World::new(options) }.unwrap();
    let tick = Snapshot::parse(bytes).unwrap().header.tick;
    assert_eq!(world.restore(bytes).unwrap(), tick);
    assert_eq!(world.check(), Ok((tick, true)));
    world
}

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

fn busy_plant() -> Plant {
    let plant = Plant::new(&[((-3, -1), "ferrite", 65535), ((3, -3), "peat", 400)]);
    plant.build(&[
        ((-3, -1), "extractor", 5, "mine_ore"),
        ((-3, 0), "conveyor", 0, ""),
        ((-2, 0), "sorter", 0, "ore"),
        ((-1, 0), "crossing", 0, ""),
        ((0, 0), "splitter", 0, ""),
        ((1, -1), "furnace", 5, "smelt_iron"),
        ((1, 0), "mill", 0, "cut_gear"),
        ((2, 0), "depot", 0, ""),
        ((2, -1), "dynamo", 0, ""),
        ((3, -3), "extractor", 4, "cut_peat"),
        ((2, -2), "splitter", 4, ""),
    ]);
    plant.run(200);
    let mut batch = plant.batch();
    batch.push_as("one", 1, &[&plant.cell((0, 1)).to_le_bytes()]);
    batch.craft("cut_gear", 2).push_as("far", 1, &[&7u32.to_le_bytes()]);
    plant.act(&batch);
    plant.run(203);
    plant
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

#[test]
fn a_world_is_restored_once_and_from_its_own_like() {
    let plant = busy_plant();
    let bytes = snapshot(&plant.world);
    let options = plant.world.options().clone();
    let refused =
        |options: WorldOptions, bytes: &[u8]| World::new(options).unwrap().restore(bytes).unwrap_err();
    let other = [
        (WorldOptions { frequency: 25, ..options.clone() }, "frequency"),
        (WorldOptions { seed: 2, ..options.clone() }, "seed"),
        (WorldOptions { ruleset: living_ruleset(1), ..options.clone() }, "ruleset"),
    ];
    for (options, differs) in other {
        assert!(matches!(refused(options, &bytes), RestoreError::Other { what, .. } if what == differs));
    }
    assert!(matches!(plant.world.restore(&bytes), Err(RestoreError::Started)));
    let twice = restored(&plant.world, &bytes, false, 1);
    assert!(matches!(twice.restore(&bytes), Err(RestoreError::Started)));
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(matches!(refused(options, &changed), RestoreError::Snapshot(_)));
}

type Objects = Vec<(u64, Vec<u8>)>;

/// The snapshot with objects that somebody changed, and every check right.
fn forged(bytes: &[u8], change: impl Fn(&mut Objects)) -> Vec<u8> {
    let snapshot = Snapshot::parse(bytes).unwrap();
    let mut objects = Vec::new();
    snapshot
        .objects(|key, bytes| {
            objects.push((key, bytes.to_vec()));
            Ok::<(), wire::snapshot::SnapshotError>(())
        })
        .unwrap();
    change(&mut objects);
    objects.sort();
    let mut records = Records::new();
    objects.iter().for_each(|(key, bytes)| records.push(*key, bytes).unwrap());
    let field: Vec<_> = (0..snapshot.grid.chunks())
        .map(|chunk| {
            let field = snapshot.field(chunk).unwrap();
            Packed::new([field.kinds(), field.amounts()].concat())
        })
        .collect();
    let objects: Vec<_> = records.sections().into_iter().map(Packed::new).collect();
    write(&snapshot.header, &snapshot.ruleset, &field, &objects).unwrap()
}

#[test]
fn objects_that_cannot_be_are_refused() {
    let plant = busy_plant();
    let bytes = snapshot(&plant.world);
    let refused = |change: &dyn Fn(&mut Objects)| {
        let world = World::new(plant.world.options().clone()).unwrap();
        let error = world.restore(&forged(&bytes, change)).unwrap_err();
        assert!(!world.is_ready());
        error
    };
    assert!(World::new(plant.world.options().clone()).unwrap().restore(&forged(&bytes, |_| ())).is_ok());
    // One that is missing or changed: not the state that the header names.
    for n in [0, 5, 11, 40] {
        assert!(matches!(refused(&|objects| drop(objects.remove(n))), RestoreError::Digest));
    }
    assert!(matches!(refused(&|objects| objects[0].1.push(0)), RestoreError::Digest));

    // With the digest of what it holds, because it was captured so.
    let with_digest = |bytes: Vec<u8>| {
        let snapshot = Snapshot::parse(&bytes).unwrap();
        let contents = hexworld::snapshot::Contents::of(&snapshot).unwrap();
        let mut header = snapshot.header;
        header.digest = contents.digest(header.tick, header.seed, &header.ruleset_hash);
        contents.pack(&header, TEXT).unwrap()
    };
    let changes: [&dyn Fn(&mut Objects); 6] = [
        &|objects| objects[0].1[0] = 99,
        &|objects| objects.retain(|(key, _)| key >> 56 != 2),
        &|objects| objects.retain(|(key, _)| key >> 56 != 3),
        &|objects| objects.retain(|(key, _)| key >> 56 != 5),
        &|objects| objects[0].0 = 1 << 56 | 5_762,
        &|objects| objects.iter_mut().filter(|(key, _)| key >> 56 == 4).for_each(|(key, _)| *key += 1),
    ];
    for change in changes {
        let world = World::new(plant.world.options().clone()).unwrap();
        let error = world.restore(&with_digest(forged(&bytes, change))).unwrap_err();
        assert!(matches!(error, RestoreError::Objects(_)), "{error}");
        assert!(!world.is_ready());
    }
}

proptest! {
    #![proptest_config(cases(48))]

    /// Of memory that a broken worker wrote a state is taken that can be restored, or none.
    #[test]
    fn broken_memory_gives_a_state_or_none(
        words in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), any::<u64>()), 1..40),
    ) {
        let plant = Plant::shared(still_ruleset(), &[((1, 0), "ferrite", 500)]);
        plant.build(&[((1, 0), "extractor", 3, "mine_ore"), ((0, 0), "depot", 0, "ore")]);
        plant.run(60);
        for (cards, at, value) in words {
            let segments = plant.world.segments();
            let segment = segments[usize::from(cards)];
            let all = segment.words64(0, segment.len() / 8).unwrap();
            let word = &all[32 + at.index(all.len() - 32)];
            let value = if value % 3 == 0 { value } else { word.load(Relaxed) ^ (value & 0xff) << (8 * (value % 8)) };
            word.store(value, Relaxed);
        }
        match plant.world.capture(|| ()) {
            Ok(capture) => {
                let bytes = capture.encode(TEXT).unwrap();
                restored(&plant.world, &bytes, false, 1);
            }
            Err(fault) => prop_assert!(matches!(fault, ReadError::Corrupt(_) | ReadError::Busy), "{}", fault),
        }
    }
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
