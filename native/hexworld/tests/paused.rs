//! A pause inside a tick or inside generation loses nothing and hides nothing.

use hexworld::{Ruleset, World, WorldOptions};

fn ruleset() -> Ruleset {
    let text = include_str!("../../../priv/rulesets/default.toml");
    Ruleset { beat: 1, ..Ruleset::parse(text).unwrap() }
}

#[test]
fn a_harvest_in_a_paused_tick_is_not_lost() {
    let mut world = World::new(WorldOptions::new(300, 77, ruleset())).unwrap();
    world.generate(|| true).unwrap();
    let (_, kinds, amounts) = world.planes().unwrap();
    // Ferrite is static, so nothing but a harvest can change it.
    let cell = kinds.iter().position(|&kind| kind == 4).unwrap();
    let progress = world.advance(1, || false).unwrap();
    assert_eq!((progress.tick, progress.done), (0, false), "not stopped inside tick 0");
    assert_eq!(world.harvest(cell as u32, 5), 5);
    world.advance(1, || true).unwrap();
    let (_, left) = world.cells(&[cell as u32]).unwrap();
    assert_eq!(left, [(4, amounts[cell] - 5)], "the harvest gave 5 and took nothing");
}

#[test]
fn an_unfinished_generation_is_not_done() {
    let world = World::new(WorldOptions::new(300, 77, ruleset())).unwrap();
    let progress = world.advance(0, || false).unwrap();
    assert!(!progress.done);
    assert!(world.advance(0, || true).unwrap().done);
    let whole = World::new(WorldOptions::new(300, 77, ruleset())).unwrap();
    whole.generate(|| true).unwrap();
    assert_eq!(world.planes().unwrap(), whole.planes().unwrap());
}
