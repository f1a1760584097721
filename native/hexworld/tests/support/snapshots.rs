//! Taking snapshots and going on from them.

use hexworld::{World, WorldOptions};
use wire::snapshot::Snapshot;

use super::plant::Plant;

/// In the place of the ruleset's text, which worlds do not look at.
pub const TEXT: &str = "whose hash is in the header";

/// A snapshot of a world at rest.
pub fn snapshot(world: &World) -> Vec<u8> {
    world.capture(|| ()).expect("nothing ticks").encode(TEXT).expect("a small text")
}

/// A world of the same options from a snapshot, in memory of its own or to be shared.
pub fn restored(of: &World, bytes: &[u8], shared: bool, threads: usize) -> World {
    let options = WorldOptions { threads, ..of.options().clone() };
    let world = if shared { World::shared(options) } else { World::new(options) }.unwrap();
    let tick = Snapshot::parse(bytes).unwrap().header.tick;
    assert_eq!(world.restore(bytes).unwrap(), tick);
    assert_eq!(world.check(), Ok((tick, true)));
    world
}

/// A factory with machines of most kinds, and a player with a queue.
pub fn busy_plant() -> Plant {
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
