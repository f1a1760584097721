//! Rulesets written as the text they could have been read from.

use std::fmt::Write;

use hexworld::Ruleset;
use hexworld::ruleset::{ANY_COUNT, Condition};

/// A TOML text that reads as `ruleset`.
pub fn print(ruleset: &Ruleset) -> String {
    let mut text = format!("beat = {}\nkind = [\n", ruleset.beat);
    let kind_name = |id: u8| quoted(&ruleset.kinds[usize::from(id)].name);
    for (id, kind) in (0..).zip(&ruleset.kinds) {
        write!(text, "  {{ name = {}, ripe = {}, cap = {}", quoted(&kind.name), kind.ripe, kind.cap).unwrap();
        // Left out where it is the default, so that the default is read too.
        if kind.spent != id {
            write!(text, ", spent = {}", kind_name(kind.spent)).unwrap();
        }
        text.push_str(" },\n");
    }
    text.push_str("]\ncounter = [\n");
    for counter in &ruleset.counters {
        writeln!(text, "  {{ name = {}, of = {} }},", quoted(&counter.name), selectors(ruleset, counter.of))
            .unwrap();
    }
    text.push_str("]\ngrow = [\n");
    for grow in &ruleset.grow {
        writeln!(text, "  {{ {}, add = {} }},", condition(ruleset, &grow.condition), grow.add).unwrap();
    }
    text.push_str("]\nturn = [\n");
    for turn in &ruleset.turn {
        let amount = turn.amount.map_or(String::new(), |amount| format!(", amount = {amount}"));
        let to = kind_name(turn.to);
        writeln!(text, "  {{ {}, to = {to}{amount} }},", condition(ruleset, &turn.condition)).unwrap();
    }
    text.push_str("]\n");
    if let Some(g) = &ruleset.generation {
        writeln!(
            text,
            "[gen]\nsea = {}\nshore = {}\nvein = {}\nore = {}\nore_amount = {}\nmoss = {}\nthicket = {}\n\
             crystal = {}\nember = {}\npeat = {}",
            g.sea, g.shore, g.vein, g.ore, g.ore_amount, g.moss, g.thicket, g.crystal, g.ember, g.peat
        )
        .unwrap();
    }
    text
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn selectors(ruleset: &Ruleset, codes: u16) -> String {
    let mut chosen = Vec::new();
    for (id, kind) in ruleset.kinds.iter().enumerate() {
        let (young, ripe) = (codes & 1 << id != 0, codes & 0x100 << id != 0);
        match (young, ripe) {
            (true, true) => chosen.push(quoted(&kind.name)),
            (true, false) => chosen.push(quoted(&format!("{}:young", kind.name))),
            (false, true) => chosen.push(quoted(&format!("{}:ripe", kind.name))),
            (false, false) => {}
        }
    }
    format!("[{}]", chosen.join(", "))
}

fn condition(ruleset: &Ruleset, condition: &Condition) -> String {
    let mut text = format!("of = {}", selectors(ruleset, condition.of));
    if condition.full {
        text.push_str(", full = true");
    }
    let asked = ruleset.counters.iter().zip(condition.when).filter(|(_, allowed)| *allowed != ANY_COUNT);
    let asked: Vec<_> = asked
        .map(|(counter, allowed)| {
            let counts: Vec<_> =
                (0..=6).filter(|n| allowed & 1 << n != 0).map(|n: u8| n.to_string()).collect();
            format!("{} = [{}]", quoted(&counter.name), counts.join(", "))
        })
        .collect();
    if !asked.is_empty() {
        write!(text, ", when = {{ {} }}", asked.join(", ")).unwrap();
    }
    let (n, r) = condition.chance;
    if (n, r) != (16, 0) {
        write!(text, ", chance = [{n}, {r}]").unwrap();
    }
    text
}
