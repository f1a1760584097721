//! The cases `factory` and `machines_asleep` of the suite `tick`: 100,000 machines beside the field.
//!
//! The machines are 6,250 copies of sixteen that dig, smelt and make gears, each fed for ever. The field is the default
//! one with its beat; only what would end the supply is changed in the ruleset: machines and land cost nothing, ore
//! burns, and fires do not halt machines.

use hexworld::ruleset::Economy;
use hexworld::{Ruleset, World, WorldOptions};

use crate::timing::{Row, seconds};

const DEFAULT: &str = include_str!("../../priv/rulesets/default.toml");
const FREQUENCY: u32 = 1000;
/// Blocks of machines, in a grid on each diamond.
const BLOCKS: u32 = 6_250;
/// Cells from one block to the next.
const PITCH: u32 = 39;
/// Axial cell, prototype, direction and recipe.
type Part = ((i32, i32), &'static str, u8, &'static str);

/// Sixteen machines: four that mine ore, two that mine fuel, belts, two furnaces, a mill and its dynamo, a depot. Each
/// touches one before it, so that its cell can be claimed.
const BLOCK: [Part; 16] = [
    ((0, 0), "splitter", 0, ""),
    ((1, 0), "mill", 0, "cut_gear"),
    ((1, -1), "furnace", 5, "smelt_iron"),
    ((0, 1), "furnace", 1, "smelt_iron"),
    ((2, 0), "depot", 0, ""),
    ((2, -1), "dynamo", 0, ""),
    ((2, -2), "splitter", 4, ""),
    ((3, -3), "extractor", 4, "mine_ore"),
    ((-1, 0), "conveyor", 0, ""),
    ((-2, 0), "conveyor", 0, ""),
    ((-3, 0), "conveyor", 0, ""),
    ((-3, -1), "extractor", 5, "mine_ore"),
    ((-2, -1), "extractor", 5, "mine_ore"),
    ((-3, 1), "extractor", 1, "mine_ore"),
    ((-4, 1), "extractor", 1, "mine_ore"),
    ((-1, 2), "extractor", 1, "mine_ore"),
];

fn ruleset() -> Ruleset {
    let (field, economy) = DEFAULT.split_at(DEFAULT.find("fire =").expect("an economy"));
    let economy = &economy[economy.find("item =").expect("items")..economy.find("start =").expect("a start")];
    let economy: Vec<String> = economy
        .lines()
        .map(|line| match line.find(", cost = {") {
            Some(at) => format!("{} }},", &line[..at]),
            None => line.replace("{ name = \"ore\" }", "{ name = \"ore\", burns = 240 }"),
        })
        .collect();
    let text = format!(
        "{field}\n{}\n\
         start = {{ kit = {{ stone = 1 }}, inventory = 60000, step = 4, gather = 8, craft = 20, queue = 16 }}\n\
         claim = {{ item = \"stone\", base = 0, every = 10000, gap = 1, estates = 100 }}\n",
        economy.join("\n")
    );
    Ruleset::parse(&text).expect("a ruleset")
}

/// The cell of an axial place in a block.
fn cell(block: u32, (q, r): (i32, i32)) -> u32 {
    let f = FREQUENCY;
    let side = f / PITCH;
    let (d, n) = (block * 10 / BLOCKS, block % (BLOCKS / 10));
    let (i, j) = (8 + n / side * PITCH, 8 + n % side * PITCH);
    d * f * f + (i as i32 + r) as u32 * f + (j as i32 + q) as u32
}

/// Actions, numbered and encoded.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    count: u16,
    ever: u32,
}

impl Batch {
    fn push(&mut self, player: u32, op: u8, cell: u32, fields: &[u8]) {
        let (name, id) = (format!("p{player}"), format!("{}", self.ever));
        let mut action = vec![name.len() as u8];
        action.extend(name.as_bytes());
        action.push(id.len() as u8);
        action.extend(id.as_bytes());
        action.push(op);
        action.extend(cell.to_le_bytes());
        action.extend(fields);
        self.bytes.extend((action.len() as u16).to_le_bytes());
        self.bytes.extend(action);
        self.count += 1;
        self.ever += 1;
    }

    fn act(&mut self, world: &World) {
        world.reserve(usize::from(self.count)).expect("memory");
        let bytes = [&self.count.to_le_bytes()[..], &self.bytes].concat();
        world.act(world.tick().expect("a tick"), &bytes).expect("a batch");
        step(world);
        self.bytes.clear();
        self.count = 0;
    }
}

fn step(world: &World) {
    world.advance(world.tick().expect("a tick") + 1, || true).expect("nobody else ticks it");
}

/// A world with all blocks; only `fed` of them in a hundred have ore.
fn world(ruleset: &Ruleset, threads: usize, fed: u32) -> World {
    let options = WorldOptions { threads, ..WorldOptions::new(FREQUENCY, 7, ruleset.clone()) };
    let bare = World::new(options.clone()).expect("a world");
    bare.generate(|| true).expect("cells");
    let (_, mut kinds, mut amounts) = bare.planes().expect("cells");
    let ferrite = ruleset.kinds.iter().position(|kind| kind.name == "ferrite").expect("ore") as u8;
    // Where nothing is to be had the mines wait.
    for block in 0..BLOCKS {
        let full = block % 100 < fed;
        for (at, _, _, recipe) in BLOCK {
            if recipe == "mine_ore" {
                let (sphere, cell) = (bare.sphere(), cell(block, at));
                for cell in sphere.neighbours(cell).chain([cell]) {
                    let barren = kinds[cell as usize] == ferrite;
                    if full || barren {
                        kinds[cell as usize] = if full { ferrite } else { 1 };
                        amounts[cell as usize] = 65535;
                    }
                }
            }
        }
    }
    let world = World::new(options).expect("a world");
    world.fill(&kinds, &amounts).expect("cells");
    build(&world, ruleset.economy.as_ref().expect("an economy"));
    world
}

fn build(world: &World, economy: &Economy) {
    let mut batch = Batch::default();
    for block in 0..BLOCKS {
        let home = cell(block, (0, 0));
        batch.push(block, 0, home, &[]);
        batch.push(block, 3, home, &[]);
        for (at, prototype, direction, recipe) in BLOCK {
            let prototype = economy.prototype(prototype).expect("a prototype");
            batch.push(block, 5, cell(block, at), &[prototype, direction]);
            if recipe == "mine_ore" {
                let recipe = economy.recipe(recipe).expect("a recipe");
                batch.push(block, 8, cell(block, at), &[recipe, 255]);
            }
        }
        if batch.count > 60_000 {
            batch.act(world);
        }
    }
    batch.act(world);
}

/// How many machines there are, and how many of them change within a second.
fn busy(world: &World) -> (usize, usize) {
    let cells: Vec<u32> = (0..BLOCKS).flat_map(|block| BLOCK.map(|part| cell(block, part.0))).collect();
    let machines = || -> Vec<_> {
        let (_, sites) = world.sites(&cells).expect("nobody else ticks it");
        sites.into_iter().map(|site| site.machine).collect()
    };
    let before = machines();
    (0..20).for_each(|_| step(world));
    let busy = before.iter().zip(machines()).filter(|(before, after)| **before != *after).count();
    (before.iter().flatten().count(), busy)
}

/// Median updates per second of each world, in turns of 16 ticks: a beat of the field.
fn updates_per_s(worlds: &[&World], rounds: usize) -> Vec<f64> {
    let mut times = vec![Vec::new(); worlds.len()];
    for _ in 0..rounds {
        for (times, world) in times.iter_mut().zip(worlds) {
            times.push(seconds(|| (0..16).for_each(|_| step(world))) / 16.0);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        1.0 / times[times.len() / 2]
    };
    times.into_iter().map(median).collect()
}

/// Measures both cases and hands each row to `report`.
pub fn run(quick: bool, report: &mut impl FnMut(Row)) {
    let (ruleset, rounds) = (ruleset(), if quick { 5 } else { 21 });
    let bare = WorldOptions { threads: 2, ..WorldOptions::new(FREQUENCY, 7, ruleset.clone()) };
    let bare = World::new(bare).expect("a world");
    bare.generate(|| true).expect("cells");
    let (two, one, asleep) = (world(&ruleset, 2, 100), world(&ruleset, 1, 100), world(&ruleset, 2, 1));
    // Until everything runs, and what has nothing to do sleeps.
    for world in [&two, &one, &asleep] {
        (0..600).for_each(|_| step(world));
    }
    let (machines, at_work) = busy(&two);
    let (_, awake) = busy(&asleep);
    let rates = updates_per_s(&[&two, &one, &asleep, &bare], rounds);
    let [two, one, asleep, bare] = rates[..] else { return };
    let row = |case, metric, unit, value, baseline: Option<(&'static str, f64, f64)>| Row {
        suite: "tick",
        case,
        metric,
        unit,
        value,
        baseline: baseline.map(|(name, ..)| name),
        baseline_value: baseline.map(|(_, value, _)| value),
        ratio: baseline.map(|(.., ratio)| ratio),
    };
    let updates = |case, value: f64, name, other: f64| {
        row(case, "updates_per_s", "updates/s", value, Some((name, other, value / other)))
    };
    report(updates("factory", two, "one_thread", one));
    report(updates("factory", two, "field_alone", bare));
    report(updates("machines_asleep", asleep, "factory", two));
    let ns = (1.0 / two - 1.0 / bare) / machines as f64 * 1e9;
    report(row("factory", "ns_per_machine", "ns", ns, None));
    let share = |n: usize| 100.0 * n as f64 / machines as f64;
    report(row("factory", "busy", "%", share(at_work), None));
    report(row("machines_asleep", "busy", "%", share(awake), None));
}
