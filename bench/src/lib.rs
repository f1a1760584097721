//! What the benchmarks share: worlds to measure and the rivals they are measured against.

#![forbid(unsafe_code)]

pub mod edge;
pub mod factory;
pub mod rivals;
pub mod spin;
pub mod tick;
pub mod timing;

use hexworld::{Ruleset, World, WorldOptions};

/// The default ruleset, with another beat if one is given.
pub fn ruleset(beat: Option<u16>) -> Ruleset {
    let mut ruleset = Ruleset::parse(include_str!("../../priv/rulesets/default.toml"))
        .expect("the default ruleset is valid");
    ruleset.beat = beat.unwrap_or(ruleset.beat);
    ruleset
}

/// A generated world of seed 7.
pub fn world(frequency: u32, beat: Option<u16>, threads: usize) -> World {
    let options = WorldOptions { threads, ..WorldOptions::new(frequency, 7, ruleset(beat)) };
    let world = World::new(options).expect("valid options");
    world.generate(|| true).expect("nobody else ticks it");
    world
}
