//! The factories whose numbers are known: each was computed by a model of its own, tick by tick.

mod support;

use hexworld::{Ruleset, World, WorldOptions, WriteError};
use proptest::prelude::*;
use support::deeds::{Draw, actions, batch};
use support::plant::{Batch, Plant, still_ruleset};
use support::{advance, cases, default_ruleset, opened};

/// The gear works: 21 machines from three ores to gears and bricks.
fn gear_works() -> Plant {
    let ore = |at| (at, "ferrite", 65535);
    let plant = Plant::new(&[
        ore((-3, -1)),
        ore((-4, 1)),
        ore((-2, -1)),
        ore((-3, 1)),
        ((3, -3), "peat", 400),
        ((-1, 2), "peat", 400),
        ((0, 3), "peat", 400),
    ]);
    plant.build(&[
        ((-3, -1), "extractor", 5, "mine_ore"),
        ((-4, 1), "extractor", 1, "mine_ore"),
        ((-2, -1), "extractor", 5, "mine_ore"),
        ((-3, 1), "extractor", 1, "mine_ore"),
        ((-3, 0), "conveyor", 0, ""),
        ((-2, 0), "conveyor", 0, ""),
        ((-1, 0), "conveyor", 0, ""),
        ((0, 0), "splitter", 0, ""),
        ((1, -1), "furnace", 5, "smelt_iron"),
        ((0, 1), "furnace", 1, "smelt_iron"),
        ((1, 0), "mill", 0, "cut_gear"),
        ((2, 0), "depot", 0, ""),
        ((2, -1), "dynamo", 0, ""),
        ((3, -3), "extractor", 4, "cut_peat"),
        ((2, -2), "splitter", 4, ""),
        ((-1, 2), "extractor", 1, "cut_peat"),
        ((0, 2), "conveyor", 0, ""),
        ((1, 2), "furnace", 0, "slag_brick"),
        ((2, 2), "depot", 0, ""),
        ((1, 3), "extractor", 2, "dig_stone"),
        ((0, 3), "extractor", 1, "cut_peat"),
    ]);
    plant
}

#[test]
fn the_gear_works_makes_exactly_what_was_computed() {
    let plant = gear_works();
    assert_eq!(plant.first_arrival((2, 2), "brick", 300), Some(213));
    assert_eq!(plant.first_arrival((2, 0), "gear", 300), Some(245));
    plant.run(10_000);
    assert_eq!(plant.stored((2, 0), "gear"), 163);
    assert_eq!(plant.stored((2, 2), "brick"), 164);
    for at in [(-3, -1), (-4, 1), (-2, -1), (-3, 1), (1, 3)] {
        assert_eq!(plant.counters(at)[0], 166, "{at:?}");
    }
    let furnaces = [(0, 1), (1, -1), (1, 2)].map(|at| plant.counters(at));
    assert_eq!([furnaces[0][0], furnaces[1][0]], [165, 164]);
    assert_eq!(furnaces[1][1], 154);
    assert_eq!(plant.slots((1, -1))[5], 10);
    assert_eq!([(3, -3), (-1, 2), (0, 3)].map(|at| plant.counters(at)[0]), [101, 56, 55]);
    assert_eq!(furnaces.map(|counters| counters[2]), [42, 42, 42]);
    assert_eq!(plant.lit((2, -1)), 41);
}

/// A hand and then a pump take the last water of a cell in one tick, and an extractor beside it waits for rock.
#[test]
fn what_changes_twice_in_a_tick_is_noticed_both_times() {
    let mut ruleset = still_ruleset();
    // The row of the cell acts seldom, so it is not looked at for that.
    ruleset.beat = 16;
    let crystal = |at| (at, "crystal", 9);
    let plant = Plant::with(
        ruleset,
        &[
            ((1, 0), "water", 4),
            crystal((2, 0)),
            crystal((3, 0)),
            crystal((3, -1)),
            crystal((2, -1)),
            crystal((1, 1)),
            crystal((2, 1)),
        ],
    );
    plant.build(&[((0, 0), "pump", 3, "pump_water"), ((2, 0), "extractor", 0, "dig_stone")]);
    plant.run(40);
    let mut batch = plant.batch();
    batch.push_as("drink", 2, &[&plant.cell((1, 0)).to_le_bytes()]);
    plant.act(&batch);
    plant.run(60);
    assert_eq!((plant.site((1, 0)).kind, plant.site((1, 0)).amount), (1, 3));
    // Two units by hand, and the third by the pump, which began a piece at ticks 0 and 60.
    plant.run(61);
    assert_eq!((plant.site((1, 0)).kind, plant.site((1, 0)).amount), (0, 0));
    let progress = || plant.site((2, 0)).machine.expect("an extractor")[4..6].to_vec();
    assert_eq!(progress(), [255, 255]);
    plant.run(62);
    assert_eq!(progress(), [0, 0]);
}

/// Advances by a tick, with more room as often as the world is full, and says how often it was.
fn widened(world: &World, tick: u64) -> usize {
    let mut widened = 0;
    loop {
        match world.advance(tick, || true) {
            Ok(progress) => {
                assert!(progress.done);
                return widened;
            }
            Err(fault) => assert_eq!(fault, WriteError::Full),
        }
        assert!(world.reserve(0).unwrap() > 0);
        widened += 1;
    }
}

/// Nobody asked for room here. A world of one process makes it by itself; a tick that another process has to make room
/// for is done again, with its actions.
#[test]
fn a_tick_that_finds_no_room_is_done_with_more() {
    let options = || WorldOptions::new(24, 1, still_ruleset());
    let (alone, shared) = (World::new(options()).unwrap(), World::shared(options()).unwrap());
    let cells = alone.sphere().cells();
    for world in [&alone, &shared] {
        world.fill(&vec![0; cells as usize], &vec![9; cells as usize]).unwrap();
    }
    let economy = alone.options().ruleset.economy.clone().unwrap();
    let mut widenings = 0;
    for n in 0..100u32 {
        // Deeds that wait take less room than their outcomes.
        let mut batch = Batch::new(&economy, &format!("p{n}"));
        batch.join(n);
        for deed in 0..16 {
            batch.push_as(&format!("{deed:064}"), 2, &[&n.to_le_bytes()]);
        }
        for world in [&alone, &shared] {
            world.act(n.into(), &batch.bytes()).unwrap();
        }
        advance(&alone, u64::from(n) + 1);
        widenings += widened(&shared, u64::from(n) + 1);
    }
    advance(&alone, 2100);
    widenings += widened(&shared, 2100);
    assert!(widenings > 1, "{widenings}");
    assert_eq!(alone.outcomes(0).unwrap().len(), 16 * 100);
    assert_eq!(alone.digest().unwrap(), shared.digest().unwrap());
    assert_eq!(opened(&shared).digest().unwrap(), shared.digest().unwrap());
}

proptest! {
    #![proptest_config(cases(32))]

    /// Sleeping machines and a working copy in memory are nobody's business: a successor that begins anew from what
    /// was published, with all machines awake, in every tick, comes to the same.
    #[test]
    fn a_successor_in_every_tick_changes_nothing(seed: u64) {
        let still = still_ruleset();
        // On a field that stands still, or on one that lives and burns.
        let living = Ruleset { economy: still.economy.clone(), ..default_ruleset() };
        let mut options = WorldOptions::new(24, seed, if seed % 3 == 0 { still } else { living });
        options.ruleset.beat = 16;
        let kept = World::shared(options.clone()).unwrap();
        let mut renewed = World::shared(options).unwrap();
        let cells = kept.sphere().cells() as usize;
        let mut draw = Draw(seed);
        let kinds: Vec<u8> = (0..cells).map(|_| draw.below(8) as u8).collect();
        let amounts: Vec<u16> = kinds.iter().map(|_| 1 + draw.below(6) as u16).collect();
        kept.fill(&kinds, &amounts).unwrap();
        renewed.fill(&kinds, &amounts).unwrap();
        for tick in 0..160 {
            let mut actions = if tick < 60 { actions(&mut draw, &kept, tick) } else { Vec::new() };
            if tick == 0 {
                let economy = kept.options().ruleset.economy.as_ref().unwrap();
                for name in ["ann", "ben"] {
                    let mut joins = Batch::new(economy, name);
                    joins.join(2 * 576 + 11 * 24 + 11);
                    actions.insert(0, joins.actions().remove(0));
                }
            }
            for world in [&kept, &renewed] {
                world.reserve(actions.len()).unwrap();
                world.act(tick, &batch(&actions)).unwrap();
                advance(world, tick + 1);
            }
            prop_assert_eq!(kept.digest().unwrap(), renewed.digest().unwrap(), "tick {}", tick);
            renewed = opened(&renewed);
            prop_assert_eq!(renewed.check(), Ok((tick + 1, true)));
        }
        prop_assert_eq!(kept.outcomes(0).unwrap(), renewed.outcomes(0).unwrap());
    }
}

/// The random actions above are worth something: most things happen and most refusals are met.
#[test]
fn random_actions_do_and_are_refused_most_things() {
    let mut codes = std::collections::BTreeMap::new();
    let mut machines = 0;
    for seed in 0..12 {
        let world = World::new(WorldOptions::new(24, seed, still_ruleset())).unwrap();
        let mut draw = Draw(seed);
        let cells = world.sphere().cells() as usize;
        let kinds: Vec<u8> = (0..cells).map(|_| draw.below(8) as u8).collect();
        world.fill(&kinds, &vec![3; cells]).unwrap();
        for tick in 0..60 {
            let mut actions = actions(&mut draw, &world, tick);
            if tick == 0 {
                let economy = world.options().ruleset.economy.as_ref().unwrap();
                for name in ["ann", "ben"] {
                    let mut joins = Batch::new(economy, name);
                    joins.join(2 * 576 + 11 * 24 + 11);
                    actions.insert(0, joins.actions().remove(0));
                }
            }
            world.reserve(actions.len()).unwrap();
            world.act(tick, &batch(&actions)).unwrap();
            advance(&world, tick + 1);
            for found in world.outcomes(tick).unwrap() {
                *codes.entry(found.outcome.code).or_insert(0) += 1;
            }
        }
        let all: Vec<u32> = (0..world.sphere().cells()).collect();
        machines += world.sites(&all).unwrap().1.iter().filter(|site| site.machine.is_some()).count();
    }
    assert!(codes.len() >= 12 && codes[&0] > 300, "{codes:?}");
    assert!(machines > 80, "{machines} machines");
}

/// A fire in which a machine was placed goes out by the rule, and the machine notices.
#[test]
fn a_machine_placed_in_a_fire_goes_on_when_it_is_out() {
    let mut ruleset = still_ruleset();
    let out = "beat = 16\nkind = [{ name = \"rock\", ripe = 1, cap = 9 }, { name = \"ember\", ripe = 2, cap = 9, spent = \"rock\" }]\n\
               grow = [{ of = [\"ember\"], add = -1 }]\n";
    let economy = ruleset.economy.take();
    let burning = Ruleset::parse(out).unwrap();
    let kind = |name: &str| burning.kinds.iter().position(|kind| kind.name == name).unwrap() as u8;
    let (rock, ember) = (kind("rock"), kind("ember"));
    // The fire is the kind that goes out; what harvests other kinds has none.
    let economy = economy.map(|mut economy| {
        economy.fire = Some(ember);
        economy.harvests.retain(|harvest| harvest.kind == rock);
        economy
    });
    let ruleset = Ruleset { economy, ..burning };
    let at = (0, 0);
    let plant = Plant::with(ruleset, &[(at, "ember", 1), ((1, 0), "ember", 1)]);
    plant.build(&[(at, "extractor", 0, "dig_stone"), ((0, 1), "furnace", 0, "smelt_iron")]);
    plant.run(400);
    assert!(plant.counters(at)[0] >= 3, "{:?}", plant.counters(at));
}
