//! Random valid rulesets from everywhere in the schema.

use hexworld::Ruleset;
use hexworld::ruleset::{
    ANY_COUNT, Condition, Counter, GENERATED_KINDS, Generation, Grow, Kind, MAX_AMOUNTS, MAX_COUNTERS,
    MAX_GROW, MAX_KINDS, MAX_TURN, Turn,
};
use proptest::array::uniform10;
use proptest::collection::vec;
use proptest::prelude::*;

/// Names that a file has to quote or escape now and then; a number behind makes them different.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zé\"\\\\ .#=]{0,4}"]
}

/// Thresholds: tiny ones, which are passed all the time, and the extremes.
fn threshold() -> impl Strategy<Value = u16> {
    prop_oneof![3 => 1u16..=6, 2 => 1u16..=300, 1 => 1u16..=u16::MAX, 1 => Just(u16::MAX)]
}

fn kind() -> impl Strategy<Value = Kind> {
    (name(), threshold(), threshold(), 0..MAX_KINDS as u8).prop_map(|(name, ripe, cap, spent)| Kind {
        name,
        ripe,
        cap,
        spent,
    })
}

/// Selected codes: single ones, whole kinds, any set, everything.
fn codes() -> impl Strategy<Value = u16> {
    prop_oneof![
        2 => (0u32..16).prop_map(|code| 1 << code),
        2 => (0u32..8).prop_map(|kind| 0x101 << kind),
        2 => any::<u16>(),
        1 => Just(u16::MAX),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let when = prop_oneof![6 => Just(ANY_COUNT), 2 => 0..=ANY_COUNT, 1 => (0u32..7).prop_map(|n| 1 << n)];
    let chance = prop_oneof![
        2 => Just((16, 0)),
        2 => (1u8..=16).prop_map(|n| (n, 0)),
        1 => (1u8..=16, 1u8..=3),
    ];
    (codes(), prop::bool::weighted(0.2), prop::array::uniform8(when), chance)
        .prop_map(|(of, full, when, chance)| Condition { of, full, when, chance })
}

fn add() -> impl Strategy<Value = i8> {
    prop_oneof![3 => -3i8..=3, 1 => any::<i8>(), 1 => Just(i8::MIN), 1 => Just(i8::MAX)]
}

fn generation() -> impl Strategy<Value = Generation> {
    uniform10(any::<u16>()).prop_map(
        |[sea, shore, vein, ore, ore_amount, moss, thicket, crystal, ember, peat]| Generation {
            sea,
            shore,
            vein,
            ore,
            ore_amount,
            moss,
            thicket,
            crystal,
            ember,
            peat,
        },
    )
}

/// Any valid ruleset. Parts are drawn as if there were eight kinds and counters and then cut down to
/// those there are, so that shrinking one part leaves the others as they are.
pub fn ruleset() -> impl Strategy<Value = Ruleset> {
    let beat = prop_oneof![2 => Just(1u16), 2 => Just(16), 2 => (0u32..=8).prop_map(|n| 1 << n)];
    let counters = vec((name(), codes()).prop_map(|(name, of)| Counter { name, of }), 0..=MAX_COUNTERS);
    let grow = vec((condition(), add()).prop_map(|(condition, add)| Grow { condition, add }), 0..=MAX_GROW);
    let amounts = vec(prop_oneof![2 => Just(0), 2 => 0u16..9, 1 => any::<u16>()], MAX_AMOUNTS);
    let turn = (condition(), 0..MAX_KINDS as u8, prop::option::of(0..MAX_AMOUNTS as u16))
        .prop_map(|(condition, to, amount)| Turn { condition, to, amount });
    let turn = vec(turn, 0..=MAX_TURN);
    let generation = prop::option::weighted(0.2, generation());
    (beat, vec(kind(), 1..=MAX_KINDS), counters, grow, amounts, turn, generation).prop_map(
        |(beat, kinds, counters, grow, amounts, turn, generation)| {
            let mut ruleset = Ruleset { beat, kinds, counters, grow, turn, generation, economy: None };
            ruleset.turn.iter_mut().for_each(|t| t.amount = t.amount.map(|n| amounts[usize::from(n)]));
            cut_down(&mut ruleset);
            ruleset
        },
    )
}

fn cut_down(ruleset: &mut Ruleset) {
    let (kinds, counters) = (ruleset.kinds.len(), ruleset.counters.len());
    let known = ((1u16 << kinds) - 1) * 0x101;
    if kinds < MAX_KINDS {
        ruleset.generation = None;
    }
    for (n, kind) in ruleset.kinds.iter_mut().enumerate() {
        kind.name = match ruleset.generation {
            Some(_) => GENERATED_KINDS[n].to_owned(),
            None => format!("{}{n}", kind.name),
        };
        kind.spent %= kinds as u8;
    }
    for (n, counter) in ruleset.counters.iter_mut().enumerate() {
        counter.name.push_str(&n.to_string());
        counter.of &= known;
    }
    let grow = ruleset.grow.iter_mut().map(|g| &mut g.condition);
    for condition in grow.chain(ruleset.turn.iter_mut().map(|t| &mut t.condition)) {
        condition.of &= known;
        condition.when[counters..].fill(ANY_COUNT);
    }
    ruleset.turn.iter_mut().for_each(|t| t.to %= kinds as u8);
    for half in ruleset.grow.chunks_mut(MAX_GROW / 2) {
        let (mut least, mut most) = (i8::MIN, i8::MAX);
        for clause in half {
            clause.add = clause.add.clamp(least, most);
            if clause.add < 0 { least -= clause.add } else { most -= clause.add }
        }
    }
}
