//! What holds for every ruleset, state and seed: the world does what the specification says, and
//! how the work is cut up, by rows, slices, threads or diamonds, cannot be seen in the result.

mod support;

use hexworld::beat::acts;
use hexworld::ruleset::{ANY_COUNT, Condition, Grow, MAX_COUNTERS};
use hexworld::topology::Site;
use hexworld::{Isa, Ruleset, Sphere, WorldOptions};
use proptest::prelude::*;
use support::reference::{Reference, State};
use support::rulesets::ruleset;
use support::{advance, any_state, cases, default_ruleset, sphere, state, toml, world};

const FERRITE: u8 = 4;

fn with_beat(ruleset: &Ruleset, beat: u16) -> Ruleset {
    Ruleset { beat, ..ruleset.clone() }
}

/// Advances the reference and a world for each form of the rule side by side; the state is drawn from
/// the world's seed.
fn agree(options: &WorldOptions, ticks: u64) -> Result<(), TestCaseError> {
    let (f, sphere) = (options.frequency, sphere(options.frequency));
    let reference = Reference::new(options);
    let mut expected = any_state(&options.ruleset, sphere, options.seed);
    let mut forms = vec![Isa::Scalar, Isa::best()];
    forms.dedup();
    let worlds: Vec<_> =
        forms.iter().map(|&isa| world(WorldOptions { isa, ..options.clone() }, &expected)).collect();
    for tick in 0..ticks {
        expected = reference.tick(&expected, tick);
        for (isa, world) in forms.iter().zip(&worlds) {
            advance(world, tick + 1);
            let found = state(world);
            let wrong = (0..sphere.cells()).find(|&cell| found.cell(cell) != expected.cell(cell));
            if let Some(cell) = wrong {
                let (found, expected) = (found.cell(cell), expected.cell(cell));
                prop_assert!(false, "{isa}, f {f}, tick {tick}, cell {cell}: {found:?}, not {expected:?}");
            }
        }
    }
    Ok(())
}

/// The cell that lies 72° further east.
fn turned(sphere: Sphere, cell: u32) -> u32 {
    let (f, Site { row, col }) = (sphere.frequency(), sphere.site(cell));
    if row >= 10 * f {
        return cell;
    }
    let (d, i) = (row / f, row % f);
    sphere.cell(Site { row: (d / 5 * 5 + (d + 1) % 5) * f + i, col })
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_world_does_what_the_rule_says(
        ruleset in ruleset(), f in 1u32..=12, seed: u64, threads in 1usize..=3, fixed_key: Option<u64>
    ) {
        // Two beats show every row twice; of the long ones a piece has to do.
        let ticks = (2 * u64::from(ruleset.beat)).clamp(4, 24);
        agree(&WorldOptions { threads, fixed_key, ..WorldOptions::new(f, seed, ruleset) }, ticks)?;
    }

    #[test]
    fn the_default_rule_is_among_them(f in 1u32..=12, seed: u64, beat in 0u32..=8) {
        agree(&WorldOptions::new(f, seed, with_beat(&default_ruleset(), 1 << beat)), 24)?;
    }

    #[test]
    fn a_printed_ruleset_reads_back(ruleset in ruleset()) {
        let text = toml::print(&ruleset);
        let read = Ruleset::parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&ruleset), "{}", text);
        prop_assert_eq!(read.map(|r| r.hash()), Ok(ruleset.hash()));
    }

    #[test]
    fn rows_outside_their_slot_keep_their_cells(
        ruleset in ruleset(), f in 1u32..=12, seed: u64, start in 0u64..600
    ) {
        let sphere = sphere(f);
        let beat = ruleset.beat;
        let world = world(WorldOptions::new(f, seed, ruleset.clone()), &any_state(&ruleset, sphere, seed));
        advance(&world, start);
        for tick in start..start + 8 {
            let before = state(&world);
            advance(&world, tick + 1);
            let after = state(&world);
            for cell in 0..sphere.cells() {
                let row = sphere.site(cell).row;
                let kept = before.cell(cell) == after.cell(cell);
                prop_assert!(kept || acts(seed, beat, row, tick), "tick {tick}, cell {cell}");
            }
        }
    }

    /// With growth by one everywhere an amount is the number of times its cell has acted.
    #[test]
    fn every_row_acts_once_a_beat(f in 1u32..=12, seed: u64, beat in 0u32..=8, beats in 1u64..4) {
        let beat = 1 << beat;
        let always = Condition { of: u16::MAX, full: false, when: [ANY_COUNT; MAX_COUNTERS], chance: (16, 0) };
        let grow = vec![Grow { condition: always, add: 1 }];
        let mut kinds = default_ruleset().kinds;
        kinds[0].cap = u16::MAX;
        let counting = Ruleset { beat, kinds, counters: vec![], grow, turn: vec![], generation: None, economy: None };
        let cells = sphere(f).cells() as usize;
        let blank = State { kinds: vec![0; cells], amounts: vec![0; cells] };
        let world = world(WorldOptions::new(f, seed, counting), &blank);
        let mut expected = vec![0u16; cells];
        for tick in 0..beats * u64::from(beat) {
            advance(&world, tick + 1);
            for (cell, n) in (0..).zip(&mut expected) {
                *n += u16::from(acts(seed, beat, sphere(f).site(cell).row, tick));
            }
            prop_assert_eq!(&state(&world).amounts, &expected, "tick {}", tick);
        }
        prop_assert!(expected.iter().all(|&n| u64::from(n) == beats));
    }

    #[test]
    fn an_advance_in_slices_is_one_advance(
        ruleset in ruleset(), f in 1u32..=12, seed: u64, asked in prop::collection::vec(any::<bool>(), 1..40)
    ) {
        let ticks = 40;
        let options = WorldOptions::new(f, seed, ruleset.clone());
        let start = any_state(&ruleset, sphere(f), seed);
        let (whole, sliced) = (world(options.clone(), &start), world(options, &start));
        advance(&whole, ticks);
        let mut answers = asked.into_iter().cycle();
        let mut tick = 0;
        while tick < ticks {
            let progress = sliced.advance(ticks, || answers.next() == Some(true)).unwrap();
            prop_assert!(progress.tick > tick && Ok(progress.tick) == sliced.tick());
            prop_assert_eq!(progress.done, progress.tick == ticks);
            tick = progress.tick;
        }
        prop_assert_eq!(state(&sliced), state(&whole));
        prop_assert_eq!(sliced.digest(), whole.digest());
    }

    /// One key for all dice makes them equal in all diamonds, and the five sectors are alike.
    #[test]
    fn a_turn_by_72_degrees_commutes_with_the_rule(ruleset in ruleset(), f in 1u32..=12, seed: u64) {
        let (ruleset, sphere) = (with_beat(&ruleset, 1), sphere(f));
        let turn = |state: &State| {
            let mut new = state.clone();
            for cell in 0..sphere.cells() {
                let to = turned(sphere, cell) as usize;
                (new.kinds[to], new.amounts[to]) = state.cell(cell);
            }
            new
        };
        let options = WorldOptions { fixed_key: Some(seed), ..WorldOptions::new(f, !seed, ruleset.clone()) };
        let start = any_state(&ruleset, sphere, seed);
        let (straight, other) = (world(options.clone(), &start), world(options, &turn(&start)));
        advance(&straight, 6);
        advance(&other, 6);
        prop_assert_eq!(turn(&state(&straight)), state(&other));
    }

    /// The ticks after a harvest show that what follows from kind and amount was derived anew.
    #[test]
    fn harvests_between_ticks_are_as_specified(
        ruleset in ruleset(), f in 1u32..=8, seed: u64,
        harvests in prop::collection::vec((any::<u32>(), prop_oneof![0u16..9, any::<u16>()]), 1..60)
    ) {
        let options = WorldOptions::new(f, seed, ruleset.clone());
        let reference = Reference::new(&options);
        let mut expected = any_state(&ruleset, sphere(f), seed);
        let mut world = world(options, &expected);
        for (tick, harvests) in (0..).zip(harvests.chunks(6)) {
            for &(cell, count) in harvests {
                let cell = cell % sphere(f).cells();
                prop_assert_eq!(world.harvest(cell, count), reference.harvest(&mut expected, cell, count));
                prop_assert_eq!(world.cells(&[cell]), Ok((tick, vec![expected.cell(cell)])));
            }
            prop_assert_eq!(&state(&world), &expected);
            expected = reference.tick(&expected, tick);
            advance(&world, tick + 1);
            prop_assert_eq!(&state(&world), &expected);
        }
    }

    /// Ferrite is only ever what was there less what was taken.
    #[test]
    fn ferrite_comes_from_nowhere(
        f in 2u32..=12, seed: u64, beat in 0u32..=4,
        harvests in prop::collection::vec((any::<u32>(), any::<u16>()), 0..12)
    ) {
        let ruleset = with_beat(&default_ruleset(), 1 << beat);
        let total = |state: &State| -> u64 {
            let cells = state.kinds.iter().zip(&state.amounts);
            cells.filter(|(kind, _)| **kind == FERRITE).map(|(_, amount)| u64::from(*amount)).sum()
        };
        let start = any_state(&ruleset, sphere(f), seed);
        let mut left = total(&start);
        let mut world = world(WorldOptions::new(f, seed, ruleset), &start);
        for (n, (cell, count)) in (1..).zip(harvests) {
            let cell = cell % sphere(f).cells();
            let kind = state(&world).cell(cell).0;
            let given = world.harvest(cell, count);
            left -= if kind == FERRITE { u64::from(given) } else { 0 };
            advance(&world, 10 * n);
            prop_assert_eq!(total(&state(&world)), left);
        }
        advance(&world, world.tick().unwrap() + 100);
        prop_assert_eq!(total(&state(&world)), left);
    }
}

/// Widths around the vectors and blocks that the kernel cuts rows into, and their tails.
#[test]
fn wide_rows_do_what_the_rule_says() {
    for (f, beat, ticks, threads) in [
        (17, 1, 8, 1),
        (17, 16, 32, 2),
        (40, 1, 6, 1),
        (40, 16, 32, 3),
        (70, 1, 4, 2),
        (70, 16, 16, 1),
        (131, 1, 2, 3),
        (131, 16, 16, 1),
        // Past one block of the scalar form; one tick of every row, and a part of them later on.
        (257, 1, 1, 2),
        (300, 256, 24, 1),
    ] {
        let ruleset = with_beat(&default_ruleset(), beat);
        let options = WorldOptions { threads, ..WorldOptions::new(f, u64::from(f), ruleset) };
        agree(&options, ticks).unwrap();
    }
}
