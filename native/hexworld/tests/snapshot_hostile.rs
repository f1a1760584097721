//! Snapshots that no world gave, and memory that no worker of ours would leave.

mod support;

use std::sync::atomic::Ordering::Relaxed;

use hexworld::snapshot::RestoreError;
use hexworld::{ReadError, World, WorldOptions};
use proptest::prelude::*;
use support::plant::{Plant, still_ruleset};
use support::snapshots::{TEXT, busy_plant, restored, snapshot};
use support::{cases, default_ruleset};
use wire::snapshot::{Packed, Records, Snapshot, write};

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
        (WorldOptions { ruleset: default_ruleset(), ..options.clone() }, "ruleset"),
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
