//! From a TOML tree to a valid [`Ruleset`]: every rule of the schema, in one place.

use super::parse::{Read, RulesetError, Table, Value, fault, with_root};
use super::*;

pub(super) fn ruleset(text: &str) -> Result<Ruleset, RulesetError> {
    with_root(text, root)
}

fn root(table: &Table) -> Read<Ruleset> {
    table.only(&[&["beat", "kind", "counter", "grow", "turn", "gen"][..], &read_economy::KEYS].concat())?;

    let beat = table.need("beat")?;
    let beat_value = beat.integer(1..=256)?;
    if !(beat_value as u64).is_power_of_two() {
        return fault(beat.at, format!("beat must be a power of two from 1 to 256, found {beat_value}"));
    }

    let kinds = kinds(&table.need("kind")?)?;
    let counters = optional_list(table, "counter", MAX_COUNTERS, |v| counter(v, &kinds))?;
    for (n, c) in counters.iter().enumerate() {
        if counters[..n].iter().any(|other| other.name == c.name) {
            return fault(table.need("counter")?.at, format!("counter {:?} is named twice", c.name));
        }
    }
    let grow = optional_list(table, "grow", MAX_GROW, |v| grow_clause(v, &kinds, &counters))?;
    check_sums(table, &grow)?;
    let turn = optional_list(table, "turn", MAX_TURN, |v| turn_clause(v, &kinds, &counters))?;
    check_amounts(table, &turn)?;
    let generation = table.get("gen").map(|v| generation(&v, &kinds)).transpose()?;
    let economy = read_economy::economy(table, &kinds)?;

    Ok(Ruleset { beat: beat_value as u16, kinds, counters, grow, turn, generation, economy })
}

fn optional_list<T>(table: &Table, key: &str, max: usize, read: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    match table.get(key) {
        Some(value) => value.list_of(max)?.iter().map(read).collect(),
        None => Ok(Vec::new()),
    }
}

fn kinds(value: &Value) -> Read<Vec<Kind>> {
    let list = value.list_of(MAX_KINDS)?;
    if list.is_empty() {
        return fault(value.at.clone(), "at least one kind is needed");
    }
    let mut names: Vec<&str> = Vec::new();
    for entry in &list {
        let name = entry.table()?.need("name")?;
        let text = name.text()?;
        if text.is_empty() || text.contains(':') {
            return fault(name.at, format!("a kind's name must not be empty or contain ':', found {text:?}"));
        }
        if names.contains(&text) {
            return fault(name.at, format!("kind {text:?} is named twice"));
        }
        names.push(text);
    }
    list.iter()
        .enumerate()
        .map(|(id, entry)| {
            let table = entry.table()?;
            table.only(&["name", "ripe", "cap", "spent"])?;
            let spent = match table.get("spent") {
                Some(spent) => named(&spent, spent.text()?, names.iter().copied(), "kind")?,
                None => id as u8,
            };
            Ok(Kind {
                name: names[id].to_owned(),
                ripe: table.need("ripe")?.u16(1)?,
                cap: table.need("cap")?.u16(1)?,
                spent,
            })
        })
        .collect()
}

/// The position of `name` among `known`.
pub(super) fn named<'a>(
    value: &Value,
    name: &str,
    known: impl Iterator<Item = &'a str>,
    what: &str,
) -> Read<u8> {
    let known: Vec<&str> = known.collect();
    match known.iter().position(|&k| k == name) {
        Some(n) => Ok(n as u8),
        None => fault(value.at.clone(), format!("unknown {what} {name:?}; known: {}", known.join(", "))),
    }
}

pub(super) fn kind_names(kinds: &[Kind]) -> impl Iterator<Item = &str> {
    kinds.iter().map(|k| k.name.as_str())
}

fn selectors(value: &Value, kinds: &[Kind]) -> Read<u16> {
    value.list()?.iter().try_fold(0, |mask, entry| {
        let text = entry.text()?;
        let (name, part) = text.split_once(':').map_or((text, None), |(name, part)| (name, Some(part)));
        let kind = named(entry, name, kind_names(kinds), "kind")?;
        let (young, ripe) = (1u16 << kind, 1u16 << (kind | 8));
        match part {
            None => Ok(mask | young | ripe),
            Some("young") => Ok(mask | young),
            Some("ripe") => Ok(mask | ripe),
            Some(other) => {
                fault(entry.at.clone(), format!("expected \"young\" or \"ripe\" after ':', found {other:?}"))
            }
        }
    })
}

fn counter(value: &Value, kinds: &[Kind]) -> Read<Counter> {
    let table = value.table()?;
    table.only(&["name", "of"])?;
    Ok(Counter { name: table.need("name")?.text()?.to_owned(), of: selectors(&table.need("of")?, kinds)? })
}

const CONDITION_KEYS: [&str; 4] = ["of", "full", "when", "chance"];

fn condition(table: &Table, kinds: &[Kind], counters: &[Counter]) -> Read<Condition> {
    let mut when = [ANY_COUNT; MAX_COUNTERS];
    if let Some(value) = table.get("when") {
        for (at, name, counts) in value.table()?.entries() {
            let Some(n) = counters.iter().position(|c| c.name == name) else {
                let known: Vec<_> = counters.iter().map(|c| c.name.as_str()).collect();
                return fault(at, format!("unknown counter {name:?}; known: {}", known.join(", ")));
            };
            when[n] =
                counts.list()?.iter().try_fold(0, |mask, count| Ok(mask | 1 << count.integer(0..=6)?))?;
        }
    }
    let chance = match table.get("chance") {
        None => (16, 0),
        Some(value) => match value.list()?.as_slice() {
            [n, r] => (n.integer(1..=16)? as u8, r.integer(0..=3)? as u8),
            _ => return fault(value.at, "chance must be [n, r] with n in 1..16 and r in 0..3"),
        },
    };
    Ok(Condition {
        of: selectors(&table.need("of")?, kinds)?,
        full: table.get("full").map_or(Ok(false), |v| v.flag())?,
        when,
        chance,
    })
}

fn grow_clause(value: &Value, kinds: &[Kind], counters: &[Counter]) -> Read<Grow> {
    let table = value.table()?;
    table.only(&[&CONDITION_KEYS[..], &["add"]].concat())?;
    Ok(Grow {
        condition: condition(&table, kinds, counters)?,
        add: table.need("add")?.integer(-128..=127)? as i8,
    })
}

fn turn_clause(value: &Value, kinds: &[Kind], counters: &[Counter]) -> Read<Turn> {
    let table = value.table()?;
    table.only(&[&CONDITION_KEYS[..], &["to", "amount"]].concat())?;
    let to = table.need("to")?;
    Ok(Turn {
        condition: condition(&table, kinds, counters)?,
        to: named(&to, to.text()?, kind_names(kinds), "kind")?,
        amount: table.get("amount").map(|v| v.u16(0)).transpose()?,
    })
}

/// The kernel adds up each half of the clauses in one signed byte.
fn check_sums(table: &Table, grow: &[Grow]) -> Read<()> {
    for half in grow.chunks(MAX_GROW / 2) {
        let sum = |keep: fn(&i16) -> bool| half.iter().map(|g| i16::from(g.add)).filter(keep).sum::<i16>();
        let (least, most) = (sum(|a| *a < 0), sum(|a| *a > 0));
        if least < -128 || most > 127 {
            return fault(
                table.need("grow")?.at,
                format!("the adds of clauses 1-4 and of 5-8 must stay in -128..127, found {least}..{most}"),
            );
        }
    }
    Ok(())
}

fn check_amounts(table: &Table, turn: &[Turn]) -> Read<()> {
    let mut amounts: Vec<u16> = turn.iter().filter_map(|t| t.amount).collect();
    amounts.sort_unstable();
    amounts.dedup();
    if amounts.len() > MAX_AMOUNTS {
        return fault(
            table.need("turn")?.at,
            format!("at most {MAX_AMOUNTS} different amounts are allowed, found {}", amounts.len()),
        );
    }
    Ok(())
}

fn generation(value: &Value, kinds: &[Kind]) -> Read<Generation> {
    let table = value.table()?;
    table.only(&[
        "sea",
        "shore",
        "vein",
        "ore",
        "ore_amount",
        "moss",
        "thicket",
        "crystal",
        "ember",
        "peat",
    ])?;
    if !kind_names(kinds).eq(GENERATED_KINDS) {
        return fault(
            value.at.clone(),
            format!("gen needs the kinds {} in this order", GENERATED_KINDS.join(", ")),
        );
    }
    let threshold = |key| table.need(key)?.u16(0);
    Ok(Generation {
        sea: threshold("sea")?,
        shore: threshold("shore")?,
        vein: threshold("vein")?,
        ore: threshold("ore")?,
        ore_amount: threshold("ore_amount")?,
        moss: threshold("moss")?,
        thicket: threshold("thicket")?,
        crystal: threshold("crystal")?,
        ember: threshold("ember")?,
        peat: threshold("peat")?,
    })
}
