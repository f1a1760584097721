//! Values that must never change.

use hexworld::{Ruleset, World, WorldOptions};

fn ruleset() -> Ruleset {
    Ruleset::parse(include_str!("../../../priv/rulesets/default.toml")).unwrap()
}

/// FNV-1a 64 over (kind, amount low byte, amount high byte) of all cells.
fn fnv(world: &World) -> u64 {
    let (_, kinds, amounts) = world.planes().unwrap();
    kinds.iter().zip(amounts).fold(0xcbf2_9ce4_8422_2325, |hash, (kind, amount)| {
        let [low, high] = amount.to_le_bytes();
        [*kind, low, high]
            .iter()
            .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    })
}

/// The values that the rule was designed with, from two implementations that know nothing of ours.
#[test]
fn the_designed_rule_is_reproduced() {
    let golden = [
        (
            5,
            1,
            [
                (0, 0x03e7_32e0_20fa_007f),
                (1, 0xc00f_d574_504a_ea34),
                (16, 0x3771_c535_b67f_e6ac),
                (320, 0xa046_434f_6ce1_c9aa),
            ],
        ),
        (
            16,
            2,
            [
                (0, 0x4375_7fdf_d344_cc65),
                (1, 0x80f7_fcf8_f302_e731),
                (16, 0x18b1_ad82_d3b5_9dc6),
                (320, 0x5f3f_c6bf_de70_bb47),
            ],
        ),
    ];
    for (f, seed, states) in golden {
        let world = World::new(WorldOptions::new(f, seed, ruleset())).unwrap();
        world.generate(|| true).unwrap();
        for (tick, digest) in states {
            world.advance(tick, || true).unwrap();
            assert_eq!(fnv(&world), digest, "f = {f}, tick {tick}");
        }
    }
}

/// The same file that the Elixir tests read; `cargo test` runs with overflow checks, `--release` without.
#[test]
fn the_golden_digests_hold_on_any_number_of_threads() {
    for line in
        include_str!("../../../test/fixtures/golden/digests.tsv").lines().filter(|l| !l.starts_with('#'))
    {
        let [seed, frequency, ticks, digest] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("four columns: {line}")
        };
        for threads in 1..=3 {
            let options = WorldOptions::new(frequency.parse().unwrap(), seed.parse().unwrap(), ruleset());
            let world = World::new(WorldOptions { threads, ..options }).unwrap();
            world.advance(ticks.parse().unwrap(), || true).unwrap();
            let found: String = world.digest().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, digest, "{threads} threads: {line}");
        }
    }
}
