//! From a TOML tree to an [`Economy`]: every rule of its keys.

use super::economy::*;
use super::parse::{Read, Table, Value, fault};
use super::read::{kind_names, named};
use super::read_recipe::recipe;
use super::*;

/// The keys that come together; `fire` only with them.
const NEEDED: [&str; 6] = ["item", "harvest", "prototype", "recipe", "start", "claim"];
pub(super) const KEYS: [&str; 7] = ["item", "harvest", "prototype", "recipe", "start", "claim", "fire"];

const MAX_NAME: usize = 32;
/// Most pieces of one item in a recipe or a cost.
pub(super) const MAX_COUNT: u16 = 100;
const MAX_INVENTORY: u16 = 60_000;

/// What names stand for while a file is read.
pub(super) struct Names<'a> {
    pub kinds: Vec<&'a str>,
    pub items: Vec<&'a str>,
    pub prototypes: Vec<&'a str>,
    pub recipes: Vec<&'a str>,
}

/// The economy of a ruleset, if it has one.
pub(super) fn economy(root: &Table, kinds: &[Kind]) -> Read<Option<Economy>> {
    let Some((key, first)) = KEYS.iter().find_map(|key| Some((key, root.get(key)?))) else {
        return Ok(None);
    };
    for needed in NEEDED {
        if root.get(needed).is_none() {
            return fault(first.at, format!("a ruleset with {key:?} needs {needed:?} too"));
        }
    }
    let list = |key, max| root.need(key)?.list_of(max);
    let (item_list, harvest_list) = (list("item", MAX_ITEMS)?, list("harvest", MAX_KINDS)?);
    let (prototype_list, recipe_list) = (list("prototype", MAX_PROTOTYPES)?, list("recipe", MAX_RECIPES)?);
    let names = Names {
        kinds: kind_names(kinds).collect(),
        items: unique(&item_list, "item")?,
        prototypes: unique(&prototype_list, "prototype")?,
        recipes: unique(&recipe_list, "recipe")?,
    };

    let fire = root.get("fire").map(|v| one_of(&v, &names.kinds, "kind")).transpose()?;
    let items = item_list.iter().map(item).collect::<Read<_>>()?;
    let harvests = harvests(&harvest_list, &names)?;
    let prototypes = prototype_list.iter().map(|v| prototype(v, &names)).collect::<Read<Vec<_>>>()?;
    let recipes = recipe_list
        .iter()
        .map(|v| recipe(v, &names, &prototypes, &harvests, fire))
        .collect::<Read<Vec<_>>>()?;
    check_defaults(&prototype_list, &prototypes, &recipes)?;
    let start = start(&root.need("start")?, &names)?;
    let claim = claim(&root.need("claim")?, &names)?;
    Ok(Some(Economy { fire, items, harvests, prototypes, recipes, start, claim }))
}

/// The names of entries, in order.
fn unique<'a>(list: &[Value<'a>], what: &str) -> Read<Vec<&'a str>> {
    let mut names = Vec::with_capacity(list.len());
    for entry in list {
        let name = entry.table()?.need("name")?;
        let text = name.text()?;
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(fits) {
            let reason = format!("a name is 1 to {MAX_NAME} of a-z, 0-9 and _, found {text:?}");
            return fault(name.at, reason);
        }
        if names.contains(&text) {
            return fault(name.at, format!("{what} {text:?} is named twice"));
        }
        names.push(text);
    }
    Ok(names)
}

pub(super) fn one_of(value: &Value, known: &[&str], what: &str) -> Read<u8> {
    named(value, value.text()?, known.iter().copied(), what)
}

pub(super) fn name_of(table: &Table) -> Read<String> {
    Ok(table.need("name")?.text()?.to_owned())
}

pub(super) fn within(value: &Value, least: u16, most: u16) -> Read<u16> {
    Ok(value.integer(i64::from(least)..=i64::from(most))? as u16)
}

/// A number in `least..=most`, or 0 where the key is absent.
fn optional(table: &Table, key: &str, least: u16, most: u16) -> Read<u16> {
    table.get(key).map_or(Ok(0), |v| within(&v, least, most))
}

pub(super) fn flag(table: &Table, key: &str) -> Read<bool> {
    table.get(key).map_or(Ok(false), |v| v.flag())
}

/// `{ item = count, … }`, by item id.
pub(super) fn counts(value: &Value, most: u16, names: &Names) -> Read<Vec<Count>> {
    let mut counts = value
        .table()?
        .entries()
        .map(|(at, name, count)| match names.items.iter().position(|&n| n == name) {
            Some(id) => Ok((id as u8, within(&count, 1, most)?)),
            None => fault(at, format!("unknown item {name:?}; known: {}", names.items.join(", "))),
        })
        .collect::<Read<Vec<Count>>>()?;
    counts.sort_unstable();
    Ok(counts)
}

fn item(value: &Value) -> Read<Item> {
    let table = value.table()?;
    table.only(&["name", "burns"])?;
    Ok(Item { name: name_of(&table)?, burns: optional(&table, "burns", 1, u16::MAX)? })
}

fn harvests(list: &[Value], names: &Names) -> Read<Vec<Harvest>> {
    let mut harvests: Vec<Harvest> = Vec::new();
    for value in list {
        let table = value.table()?;
        table.only(&["kind", "item", "hand", "free"])?;
        let kind = table.need("kind")?;
        let id = one_of(&kind, &names.kinds, "kind")?;
        if harvests.iter().any(|h| h.kind == id) {
            return fault(kind.at, format!("kind {:?} is harvested twice", names.kinds[usize::from(id)]));
        }
        harvests.push(Harvest {
            kind: id,
            item: one_of(&table.need("item")?, &names.items, "item")?,
            hand: optional(&table, "hand", 1, u16::MAX)?,
            free: flag(&table, "free")?,
        });
    }
    Ok(harvests)
}

const DOES: [(&str, Does); 7] = [
    ("carry", Does::Carry),
    ("split", Does::Split),
    ("sort", Does::Sort),
    ("cross", Does::Cross),
    ("craft", Does::Craft),
    ("drive", Does::Drive),
    ("store", Does::Store),
];

fn prototype(value: &Value, names: &Names) -> Read<Prototype> {
    let table = value.table()?;
    let does = table.need("does")?;
    let (word, does) = DOES[usize::from(one_of(&does, &DOES.map(|d| d.0), "word for what it does")?)];
    let own: &[&str] = match does {
        Does::Carry | Does::Split | Does::Sort | Does::Cross => &["hold"],
        Does::Craft => &["wind", "drive", "burns", "buffer", "default"],
        Does::Drive => &[],
        Does::Store => &["hold", "room"],
    };
    let common = ["name", "does", "cost"];
    for (at, key, _) in table.entries() {
        if ["hold", "room", "wind", "drive", "burns", "buffer", "default"].contains(&key)
            && !own.contains(&key)
        {
            return fault(at, format!("{key:?} is not for a prototype that does {word:?}"));
        }
    }
    table.only(&[&common[..], own].concat())?;

    for key in own.iter().filter(|key| ["hold", "room"].contains(key)) {
        table.need(key)?;
    }
    let prototype = Prototype {
        name: name_of(&table)?,
        does,
        hold: optional(&table, "hold", 1, 255)? as u8,
        wind: optional(&table, "wind", 0, 3)? as u8,
        drive: flag(&table, "drive")?,
        burns: flag(&table, "burns")?,
        buffer: optional(&table, "buffer", 1, 1_000)?,
        room: optional(&table, "room", 1, 60_000)?,
        default: table.get("default").map(|v| one_of(&v, &names.recipes, "recipe")).transpose()?,
        cost: cost(&table, names)?,
    };
    let moved = prototype.wind > 0 || prototype.drive;
    if does == Does::Craft && prototype.burns == moved {
        let reason = "a prototype that does \"craft\" needs either burns = true or some of wind and drive";
        return fault(table.at, reason);
    }
    Ok(prototype)
}

fn cost(table: &Table, names: &Names) -> Read<Vec<Count>> {
    let Some(value) = table.get("cost") else {
        return Ok(Vec::new());
    };
    let cost = counts(&value, MAX_COUNT, names)?;
    if cost.len() > MAX_COST {
        return fault(value.at, format!("a cost is at most {MAX_COST} items, found {}", cost.len()));
    }
    Ok(cost)
}

/// A default recipe is one that the prototype works at.
fn check_defaults(list: &[Value], prototypes: &[Prototype], recipes: &[Recipe]) -> Read<()> {
    for (id, (value, prototype)) in list.iter().zip(prototypes).enumerate() {
        let Some(default) = prototype.default else { continue };
        let recipe = &recipes[usize::from(default)];
        if usize::from(recipe.at) != id {
            let reason = format!("recipe {:?} is not worked at by {:?}", recipe.name, prototype.name);
            return fault(value.table()?.need("default")?.at, reason);
        }
    }
    Ok(())
}

fn start(value: &Value, names: &Names) -> Read<Start> {
    let table = value.table()?;
    table.only(&["kit", "inventory", "step", "gather", "craft", "queue"])?;
    let number = |key, most| within(&table.need(key)?, 1, most);
    let inventory = number("inventory", MAX_INVENTORY)?;
    let kit_value = table.need("kit")?;
    let kit = counts(&kit_value, MAX_INVENTORY, names)?;
    let total: u32 = kit.iter().map(|c| u32::from(c.1)).sum();
    if total > u32::from(inventory) {
        let reason = format!("the kit holds {total} items, the inventory only {inventory}");
        return fault(kit_value.at, reason);
    }
    Ok(Start {
        kit,
        inventory,
        step: number("step", 1_000)?,
        gather: number("gather", 100)?,
        craft: number("craft", 1_000)?,
        queue: number("queue", 16)? as u8,
    })
}

fn claim(value: &Value, names: &Names) -> Read<Claim> {
    let table = value.table()?;
    table.only(&["item", "base", "every", "gap", "estates"])?;
    let number = |key, least, most| within(&table.need(key)?, least, most);
    Ok(Claim {
        item: one_of(&table.need("item")?, &names.items, "item")?,
        base: number("base", 0, 1_000)?,
        every: number("every", 1, 10_000)?,
        gap: number("gap", 1, 8)? as u8,
        estates: number("estates", 1, 100)? as u8,
    })
}
