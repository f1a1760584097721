//! Worlds in memory that another process may advance, and diffs.

mod support;

use std::sync::atomic::Ordering::Relaxed;

use hexworld::diff::DiffError;
use hexworld::{ReadError, World, WorldOptions, WriteError};
use proptest::prelude::*;
use support::opened as open;
use wire::field::{FieldError, patch};

fn options(f: u32) -> WorldOptions {
    WorldOptions::new(f, 7, support::default_ruleset())
}

/// Planes with amounts as bytes.
fn planes(world: &World) -> (u64, Vec<u8>, Vec<u8>) {
    let (tick, kinds, amounts) = world.planes().unwrap();
    (tick, kinds, amounts.iter().flat_map(|amount| amount.to_le_bytes()).collect())
}

#[test]
fn a_world_goes_on_where_another_ticker_was_stopped() {
    let whole = World::new(options(40)).unwrap();
    whole.advance(120, || true).unwrap();

    let reader = World::shared(options(40)).unwrap();
    assert!(!reader.is_ready());
    let mut steps = 0u64;
    while reader.tick() != Ok(120) {
        // Each ticker stops in the middle of something: generation first, then a tick.
        let ticker = open(&reader);
        let mut left = steps % 7;
        let go_on = || {
            left = left.saturating_sub(1);
            left > 0
        };
        ticker.advance(120, go_on).unwrap();
        reader.fence_off();
        steps += 1;
    }
    assert!(steps > 20, "{steps}");
    assert_eq!(open(&reader).digest(), whole.digest());
    assert_eq!(reader.planes(), whole.planes());
}

#[test]
fn a_fenced_ticker_publishes_nothing() {
    let reader = World::shared(options(12)).unwrap();
    let old = open(&reader);
    old.advance(5, || true).unwrap();
    reader.fence_off();
    assert!(matches!(old.advance(9, || true), Err(WriteError::Fenced(_))));
    assert_eq!(reader.tick(), Ok(5));
    let new = open(&reader);
    assert_eq!(new.advance(9, || true).unwrap().tick, 9);
}

#[test]
fn what_a_broken_ticker_wrote_is_noticed() {
    let reader = World::shared(options(12)).unwrap();
    open(&reader).advance(5, || true).unwrap();
    let words = reader.segment().words64(0, reader.segment().len() / 8).unwrap();
    let corrupt = |at: usize| {
        let old = words[at].swap(0xdead_beef_dead_beef, Relaxed);
        let found =
            (reader.cells(&[0]).err(), reader.planes().err(), reader.diff(0).err(), reader.check().err());
        words[at].store(old, Relaxed);
        found
    };
    // The published tick.
    let (cells, planes, diff, check) = corrupt(16);
    assert!(matches!(cells, Some(ReadError::Corrupt(_))), "{cells:?}");
    assert!(matches!(planes, Some(ReadError::Corrupt(_))), "{planes:?}");
    assert!(matches!(diff, Some(DiffError::Read(ReadError::Corrupt(_)))), "{diff:?}");
    assert!(check.is_some());
    // Both versions of the first row, its first codes: 122 rows of 32 bytes stand before them.
    let first = (256 + 122 * 32usize).next_multiple_of(64) / 8;
    let second = first + 8;
    let old = words[second].swap(0xdead_beef_dead_beef, Relaxed);
    let (cells, planes, diff, _) = corrupt(first);
    words[second].store(old, Relaxed);
    assert!(matches!(cells, Some(ReadError::Corrupt(_))), "{cells:?}");
    assert!(matches!(planes, Some(ReadError::Corrupt(_))), "{planes:?}");
    assert!(matches!(diff, Some(DiffError::Read(ReadError::Corrupt(_)))), "{diff:?}");
    // The head.
    assert!(corrupt(8).3.is_some());
    // Stamps that are all still to come.
    let old = words[33].swap(u64::MAX, Relaxed);
    let (cells, planes, ..) = corrupt(32);
    words[33].store(old, Relaxed);
    assert!(matches!(cells, Some(ReadError::Corrupt(_))), "{cells:?}");
    assert!(matches!(planes, Some(ReadError::Corrupt(_))), "{planes:?}");
    assert!(reader.planes().is_ok());
}

#[test]
fn stamps_that_the_beat_does_not_allow_are_noticed() {
    // Nobody but the rule writes a world without players.
    let mut options = options(12);
    options.ruleset.economy = None;
    let world = World::shared(options).unwrap();
    let ticker = open(&world);
    ticker.advance(40, || true).unwrap();
    let (planes, digest) = (world.planes(), ticker.digest());
    let words = world.segment().words64(256, 122 * 4).unwrap();
    // Neither is anything that could not be a stamp: one that says *never*, and those of other rows and ticks.
    for (row, nonsense) in (0..122).zip([u64::MAX, 0, 1, 39, 40, 41, 1 << 40].into_iter().cycle()) {
        let stamps = &words[4 * row..4 * row + 2];
        let [a, b] = [stamps[0].load(Relaxed), stamps[1].load(Relaxed)];
        let current = usize::from(b <= 40 && (b > a || a > 40));
        let old = stamps[current].swap(nonsense, Relaxed);
        if nonsense != old {
            let id = (0..1442).find(|&id| world.sphere().site(id).row == row as u32).unwrap();
            assert!(matches!(world.cells(&[id]), Err(ReadError::Corrupt(_))), "row {row}: {nonsense}");
            assert!(matches!(world.planes(), Err(ReadError::Corrupt(_))), "row {row}: {nonsense}");
            assert!(matches!(world.diff(0), Err(DiffError::Read(ReadError::Corrupt(_)))), "row {row}");
            assert!(matches!(ticker.digest(), Err(WriteError::Corrupt(_))), "row {row}: {nonsense}");
            assert!(world.check().is_err(), "row {row}: {nonsense}");
        }
        stamps[current].store(old, Relaxed);
        // Two that are equal do not say which is current.
        let other = stamps[1 - current].swap(old, Relaxed);
        assert!(world.planes().is_err() && ticker.digest().is_err() && world.check().is_err(), "row {row}");
        stamps[1 - current].store(other, Relaxed);
    }
    assert_eq!((world.planes(), ticker.digest(), world.check()), (planes, digest, Ok((40, true))));

    // A tick goes on with what it cannot read only until the row's next turn.
    words[4].store(u64::MAX, Relaxed);
    words[5].store(u64::MAX, Relaxed);
    assert!(matches!(ticker.advance(56, || true), Err(WriteError::Corrupt(_))));
    assert!(world.tick().unwrap() < 56);
}

#[test]
fn a_ticker_that_died_while_it_generated_leaves_nothing_behind() {
    let whole = World::new(options(12)).unwrap();
    whole.generate(|| true).unwrap();
    let world = World::shared(options(12)).unwrap();
    let words = world.segment().words64(256, 122 * 4).unwrap();
    words.iter().for_each(|word| word.store(u64::MAX, Relaxed));
    world.fence_off();
    open(&world).generate(|| true).unwrap();
    assert_eq!((world.planes(), world.check()), (whole.planes(), Ok((0, true))));
}

#[test]
fn a_diff_of_the_last_tick_tells_single_cells() {
    let world = World::new(options(48)).unwrap();
    world.advance(40, || true).unwrap();
    let (_, mut kinds, mut amounts) = planes(&world);
    let mut told = 0;
    for tick in 40..72 {
        world.advance(tick + 1, || true).unwrap();
        let diff = world.diff(tick).unwrap();
        let before = (kinds.clone(), amounts.clone());
        assert_eq!(patch(&mut kinds, &mut amounts, &diff), Ok(tick + 1));
        assert_eq!((tick + 1, kinds.clone(), amounts.clone()), planes(&world));
        let cells = kinds.len();
        let differ =
            |n: &usize| kinds[*n] != before.0[*n] || amounts[2 * n..2 * n + 2] != before.1[2 * n..2 * n + 2];
        let changed = (0..cells).filter(differ).count();
        // Seven bytes a row that acts, and never more than five for a cell that changed.
        assert!(diff.len() <= 28 + 5 * changed + 7 * 482, "{} bytes for {changed} cells", diff.len());
        told += changed;
    }
    assert!(told > 0);
    assert!(world.diff(72).unwrap().len() == 28, "nothing has changed since now");
    assert_eq!(world.diff(73), Err(DiffError::Future { since: 73, tick: 72 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn diffs_lead_from_any_tick_to_any_later_one(
        f in 1u32..14, seed in any::<u64>(), start in 0u64..40, ahead in 0u64..60, stopped in 0u32..4,
    ) {
        let world = World::new(WorldOptions { seed, ..options(f) }).unwrap();
        world.advance(start, || true).unwrap();
        let (_, mut kinds, mut amounts) = planes(&world);
        world.advance(start + ahead, || true).unwrap();
        // A tick under way changes nothing.
        let mut left = stopped;
        world.advance(start + ahead, || { left = left.saturating_sub(1); left > 0 }).unwrap();
        let diff = world.diff(start).unwrap();
        prop_assert_eq!(patch(&mut kinds, &mut amounts, &diff), Ok(start + ahead));
        prop_assert_eq!((start + ahead, kinds, amounts), planes(&world));
    }

    #[test]
    fn malformed_diffs_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400, at in 0usize..400, with in any::<u8>(),
    ) {
        let world = World::new(options(3)).unwrap();
        world.advance(20, || true).unwrap();
        let (_, mut kinds, mut amounts) = planes(&world);
        prop_assert_eq!(patch(&mut kinds, &mut amounts, &bytes).is_ok(), false);
        let mut diff = world.diff(3).unwrap();
        let cut = cut % diff.len();
        prop_assert!(patch(&mut kinds, &mut amounts, &diff[..cut]).is_err());
        diff.push(0);
        prop_assert!(patch(&mut kinds, &mut amounts, &diff).is_err());
        let at = at % diff.len();
        let old = std::mem::replace(&mut diff[at], with);
        let _ = patch(&mut kinds, &mut amounts, &diff);
        diff[at] = old;
        let ahead = [&diff[..8], &99u64.to_le_bytes(), &diff[16..]].concat();
        prop_assert!(patch(&mut kinds, &mut amounts, &ahead).is_err(), "it begins after its end");
        diff[4..8].copy_from_slice(&4u32.to_le_bytes());
        prop_assert_eq!(patch(&mut kinds, &mut amounts, &diff), Err(FieldError::Frequency(4)));
    }
}
