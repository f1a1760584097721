//! What several tests share: the rule once more in plain words, rulesets and states to try it on.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]

pub mod deeds;
pub mod plant;
pub mod reference;
pub mod rulesets;
pub mod snapshots;
pub mod toml;

use hexworld::random::mix64;
use hexworld::{Ruleset, Segment, Sphere, World, WorldOptions};
use proptest::test_runner::Config;
use reference::State;

/// The sphere of frequency `f`, which must be in range.
pub fn sphere(f: u32) -> Sphere {
    Sphere::new(f).expect("frequency in range")
}

/// `priv/rulesets/default.toml`.
pub fn default_ruleset() -> Ruleset {
    Ruleset::parse(include_str!("../../../../priv/rulesets/default.toml")).expect("valid")
}

/// A number of cases; failures are not written to files, the printed seed of the state is enough.
pub fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// A world of `ruleset` that starts from `state`.
pub fn world(options: WorldOptions, state: &State) -> World {
    let world = World::new(options).expect("valid options");
    world.fill(&state.kinds, &state.amounts).expect("fitting state");
    world
}

/// The same world in another mapping of its memory, as a successor opens it.
pub fn opened(world: &World) -> World {
    let segments = world.segments().into_iter().map(|segment| {
        let fd = segment.fd().expect("shared").try_clone_to_owned().expect("a descriptor");
        Segment::open(fd, segment.len()).expect("a segment")
    });
    World::open(world.options().clone(), segments.collect()).expect("the same world")
}

/// The published state of `world`.
pub fn state(world: &World) -> State {
    let (_, kinds, amounts) = world.planes().expect("no other thread ticks");
    State { kinds, amounts }
}

/// Advances `world` to `tick` in one go.
pub fn advance(world: &World, tick: u64) {
    let progress = world.advance(tick, || true).expect("no other thread ticks");
    assert!(progress.done && progress.tick == tick);
}

/// Cells of any kind, their amounts mostly next to where the rule distinguishes them.
pub fn any_state(ruleset: &Ruleset, sphere: Sphere, stream: u64) -> State {
    let cell = |n: u32| {
        let draw = mix64(stream ^ mix64(u64::from(n)));
        let kind = (draw % ruleset.kinds.len() as u64) as u8;
        let limits = &ruleset.kinds[usize::from(kind)];
        let free = (draw >> 48) as u16;
        let amount = match draw >> 8 & 7 {
            0 => 0,
            1 => free & 0xff,
            2 => free,
            3 => limits.cap,
            4 => limits.cap.saturating_add(free & 3).saturating_sub(2),
            5 => limits.ripe.saturating_add(free & 3).saturating_sub(2),
            6 => free % limits.cap,
            _ => free & 7,
        };
        (kind, amount)
    };
    let (kinds, amounts) = (0..sphere.cells()).map(cell).unzip();
    State { kinds, amounts }
}
