//! The default ruleset lives: no kind dies or takes over, fields keep moving, mined land regrows.
//! The figures compared with are those that the rule was published with, of a prototype.

mod support;

use std::ops::Range;

use hexworld::{World, WorldOptions};
use support::reference::State;
use support::{advance, default_ruleset, state};

const F: u32 = 64;
const KINDS: [&str; 8] = ["rock", "water", "moss", "thicket", "ferrite", "crystal", "ember", "peat"];
const ROCK: usize = 0;
const WATER: usize = 1;
const FERRITE: usize = 4;
const EMBER: usize = 6;

/// Shares in % of the cells at one tick, and what a beat from there on moved.
#[derive(Debug)]
struct Sample {
    tick: u64,
    shares: [f64; 8],
    /// Cells whose kind or amount changed, in % per tick.
    activity: f64,
    ferrite: u64,
}

fn generated(seed: u64) -> World {
    let world = World::new(WorldOptions::new(F, seed, default_ruleset())).expect("valid options");
    world.generate(|| true).expect("no other thread ticks");
    world
}

fn shares(state: &State, cells: Range<u32>) -> [f64; 8] {
    let all = f64::from(cells.end - cells.start);
    let mut found = [0u32; 8];
    cells.for_each(|cell| found[usize::from(state.cell(cell).0)] += 1);
    found.map(|n| f64::from(n) * 100.0 / all)
}

fn ferrite(state: &State) -> u64 {
    let cells = state.kinds.iter().zip(&state.amounts);
    cells.filter(|(kind, _)| usize::from(**kind) == FERRITE).map(|(_, amount)| u64::from(*amount)).sum()
}

fn sample(world: &World) -> Sample {
    let (tick, cells) = (world.tick().unwrap(), world.sphere().cells());
    let first = state(world);
    let (shares, ferrite) = (shares(&first, 0..cells), ferrite(&first));
    let (mut before, mut changed) = (first, 0);
    for n in 1..=16 {
        advance(world, tick + n);
        let after = state(world);
        changed += (0..cells).filter(|&cell| before.cell(cell) != after.cell(cell)).count();
        before = after;
    }
    let activity = changed as f64 * 100.0 / f64::from(cells) / 16.0;
    Sample { tick, shares, activity, ferrite }
}

/// Ticks 0 and 500, and every 160 ticks from 2,000 to 20,000.
fn history(seed: u64) -> Vec<Sample> {
    let world = generated(seed);
    let ticks = [0, 500].into_iter().chain((2000..20_000).step_by(160)).chain([20_000]);
    ticks
        .map(|tick| {
            advance(&world, tick);
            sample(&world)
        })
        .collect()
}

fn row(name: &str, shares: [f64; 8], activity: Option<f64>) {
    let columns: Vec<_> = shares.into_iter().chain(activity).map(|share| format!("{share:8.2}")).collect();
    println!("{name:>14}{}", columns.concat());
}

fn lives(seed: u64) {
    let samples = history(seed);
    println!("{:>14}{}  changed", "seed: tick", KINDS.map(|kind| format!("{kind:>8}")).concat());
    for sample in samples.iter().filter(|s| [0, 500, 2000, 20_000].contains(&s.tick)) {
        row(&format!("{seed}: {}", sample.tick), sample.shares, Some(sample.activity));
    }
    let steady: Vec<_> = samples.iter().filter(|s| s.tick >= 2000).collect();
    let extreme = |pick: fn(f64, f64) -> f64| -> [f64; 8] {
        std::array::from_fn(|k| steady.iter().map(|s| s.shares[k]).reduce(pick).expect("samples"))
    };
    let activity =
        |pick: fn(f64, f64) -> f64| steady.iter().map(|s| s.activity).reduce(pick).expect("samples");
    row(&format!("{seed}: least"), extreme(f64::min), Some(activity(f64::min)));
    row(&format!("{seed}: most"), extreme(f64::max), Some(activity(f64::max)));

    for sample in &samples {
        assert_eq!(sample.ferrite, samples[0].ferrite, "tick {}", sample.tick);
        if sample.tick >= 500 {
            assert!((0.5..=5.0).contains(&sample.activity), "{sample:?}");
        }
        if sample.tick >= 2000 {
            assert!(sample.shares.iter().all(|share| (0.1..=60.0).contains(share)), "{sample:?}");
        }
    }
}

#[test]
fn seed_0_lives() {
    lives(0);
}

#[test]
fn seed_1_lives() {
    lives(1);
}

#[test]
fn seed_2_lives() {
    lives(2);
}

/// Means of the seeds 0–9. The rule is integers only, so the prototype's figures come out to the digit
/// it printed, less what it lost by rounding.
#[test]
fn shares_are_those_published() {
    let published = [
        (500, [36.8, 35.0, 5.9, 7.9, 3.1, 8.1, 0.7, 2.5]),
        (2000, [27.5, 35.0, 5.5, 12.2, 3.1, 13.0, 1.0, 2.8]),
        (20_000, [26.5, 35.0, 4.0, 11.6, 3.1, 16.2, 0.6, 3.0]),
    ];
    let worlds: Vec<_> = (0..10).map(generated).collect();
    for (tick, published) in published {
        let mut mean = [0.0; 8];
        for world in &worlds {
            advance(world, tick);
            let found = shares(&state(world), 0..world.sphere().cells());
            (0..8).for_each(|k| mean[k] += found[k] / 10.0);
        }
        row(&format!("0-9: {tick}"), mean, None);
        for (k, kind) in KINDS.iter().enumerate() {
            assert!((mean[k] - published[k]).abs() < 0.06, "{kind} at {tick}: {:.3} %", mean[k]);
        }
    }
}

/// Diamond 2 of seed 3, at tick 4,000 stripped of everything but its rock, water and embers.
#[test]
fn mined_land_regrows() {
    let mut world = generated(3);
    advance(&world, 4000);
    let diamond = 2 * F * F..3 * F * F;
    let before = state(&world);
    for cell in diamond.clone() {
        let (kind, amount) = before.cell(cell);
        if ![ROCK, WATER, EMBER].contains(&usize::from(kind)) {
            assert_eq!(world.harvest(cell, u16::MAX), amount);
            assert_eq!(state(&world).cell(cell), (ROCK as u8, 0), "only rock is left of a mined-out seam");
        }
    }
    for (ticks, moss, thicket, crystal, peat) in
        [(2000, 6.2, 10.1, 21.8, 0.0), (6000, 6.9, 22.4, 16.1, 0.0), (10_000, 6.4, 18.8, 17.3, 0.07)]
    {
        advance(&world, 4000 + ticks);
        let found = shares(&state(&world), diamond.clone());
        row(&format!("mined + {ticks}"), found, None);
        for (kind, published) in [(2, moss), (3, thicket), (5, crystal), (7, peat)] {
            assert!((found[kind] - published).abs() <= 0.05, "{} after {ticks} ticks", KINDS[kind]);
        }
        assert_eq!(found[FERRITE], 0.0, "ferrite comes back");
    }
}
