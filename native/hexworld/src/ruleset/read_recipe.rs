//! From a TOML tree to a [`Recipe`].

use super::economy::*;
use super::parse::{Read, Table, Value, fault};
use super::read_economy::{MAX_COUNT, Names, counts, flag, name_of, one_of, within};

pub(super) fn recipe(
    value: &Value,
    names: &Names,
    prototypes: &[Prototype],
    harvests: &[Harvest],
    fire: Option<u8>,
) -> Read<Recipe> {
    let table = value.table()?;
    table.only(&["name", "at", "time", "in", "out", "by", "harvest", "last", "field", "hand"])?;
    let at = table.need("at")?;
    let machine = one_of(&at, &names.prototypes, "prototype")?;
    if prototypes[usize::from(machine)].does != Does::Craft {
        return fault(at.at, format!("{:?} does not craft", names.prototypes[usize::from(machine)]));
    }
    let kinds_of_recipe = ["harvest", "out", "field"].map(|key| table.get(key).is_some());
    if kinds_of_recipe.iter().filter(|&&there| there).count() != 1 {
        return fault(table.at, "a recipe needs exactly one of harvest, out and field");
    }
    let [harvests_field, makes, _] = kinds_of_recipe;
    for (key, fits, reason) in [
        ("in", !harvests_field, "a harvest needs no ingredients: leave \"in\" out"),
        ("by", makes, "\"by\" is only for a recipe with \"out\""),
        ("hand", makes, "\"hand\" is only for a recipe with \"in\" and \"out\""),
        ("last", harvests_field, "\"last\" is only for a recipe with \"harvest\""),
    ] {
        match table.get(key) {
            Some(value) if !fits => return fault(value.at, reason),
            _ => (),
        }
    }

    let harvest = table.get("harvest").map(|v| harvested(&v, names, harvests)).transpose()?;
    Ok(Recipe {
        name: name_of(&table)?,
        at: machine,
        time: within(&table.need("time")?, 1, u16::MAX - 1)?,
        inputs: if harvests_field { Vec::new() } else { inputs(&table.need("in")?, names)? },
        out: match harvest {
            Some(harvest) => Some((harvest.item, 1)),
            None => single(&table, "out", names)?,
        },
        by: single(&table, "by", names)?,
        harvest: harvest.map(|h| h.kind),
        last: flag(&table, "last")?,
        field: table.get("field").map(|v| field(&v, names, fire)).transpose()?,
        hand: flag(&table, "hand")?,
    })
}

fn harvested<'h>(value: &Value, names: &Names, harvests: &'h [Harvest]) -> Read<&'h Harvest> {
    let kind = one_of(value, &names.kinds, "kind")?;
    match harvests.iter().find(|h| h.kind == kind) {
        Some(harvest) => Ok(harvest),
        None => fault(
            value.at.clone(),
            format!("kind {:?} has no entry in harvest", names.kinds[usize::from(kind)]),
        ),
    }
}

fn inputs(value: &Value, names: &Names) -> Read<Vec<Count>> {
    let inputs = counts(value, MAX_COUNT, names)?;
    if !(1..=MAX_INPUTS).contains(&inputs.len()) {
        return fault(value.at.clone(), format!("\"in\" is 1 to {MAX_INPUTS} items, found {}", inputs.len()));
    }
    Ok(inputs)
}

/// The one item of `out` or `by`.
fn single(table: &Table, key: &str, names: &Names) -> Read<Option<Count>> {
    let Some(value) = table.get(key) else {
        return Ok(None);
    };
    match counts(&value, MAX_COUNT, names)?.as_slice() {
        [one] => Ok(Some(*one)),
        more => fault(value.at, format!("{key:?} is exactly one item, found {}", more.len())),
    }
}

fn field(value: &Value, names: &Names, fire: Option<u8>) -> Read<FieldChange> {
    let table = value.table()?;
    table.only(&["at", "from", "to", "amount"])?;
    let to = table.need("to")?;
    let change = FieldChange {
        around: one_of(&table.need("at")?, &["front", "around"], "place")? == 1,
        from: one_of(&table.need("from")?, &names.kinds, "kind")?,
        to: one_of(&to, &names.kinds, "kind")?,
        amount: table.get("amount").map(|v| v.u16(1)).transpose()?,
    };
    if fire == Some(change.to) {
        return fault(to.at, "no recipe makes fire");
    }
    Ok(change)
}
