//! What the economy of the default ruleset promises: everything can be reached, also with empty hands, nothing is
//! useless, and the numbers that players plan with.

use std::collections::BTreeMap;

use hexworld::Ruleset;
use hexworld::ruleset::{Does, Economy, Prototype, Recipe};

fn ruleset() -> Ruleset {
    Ruleset::parse(include_str!("../../../priv/rulesets/default.toml")).unwrap()
}

fn economy() -> Economy {
    ruleset().economy.unwrap()
}

fn recipe<'a>(economy: &'a Economy, name: &str) -> &'a Recipe {
    &economy.recipes[usize::from(economy.recipe(name).expect(name))]
}

/// What can be had and built in the end, by hand and by machine, without another player.
struct Reach {
    items: Vec<bool>,
    prototypes: Vec<bool>,
}

impl Reach {
    /// From these items, with the kinds of field all around, and never with the machine `without`.
    fn from(economy: &Economy, kit: &[u8], without: Option<u8>) -> Self {
        let mut reach = Reach {
            items: (0..economy.items.len()).map(|n| kit.contains(&(n as u8))).collect(),
            prototypes: vec![false; economy.prototypes.len()],
        };
        for harvest in economy.harvests.iter().filter(|h| h.hand > 0) {
            reach.items[usize::from(harvest.item)] = true;
        }
        loop {
            let before = (reach.items.clone(), reach.prototypes.clone());
            for (n, prototype) in economy.prototypes.iter().enumerate() {
                let affordable = prototype.cost.iter().all(|c| reach.items[usize::from(c.0)]);
                reach.prototypes[n] |= affordable && without != Some(n as u8);
            }
            for recipe in &economy.recipes {
                let at = usize::from(recipe.at);
                let made = reach.prototypes[at] && reach.works(economy, &economy.prototypes[at]);
                if (made || recipe.hand) && recipe.inputs.iter().all(|i| reach.items[usize::from(i.0)]) {
                    for (item, _) in recipe.out.iter().chain(&recipe.by) {
                        reach.items[usize::from(*item)] = true;
                    }
                }
            }
            if (&reach.items, &reach.prototypes) == (&before.0, &before.1) {
                return reach;
            }
        }
    }

    /// Whether there is something that makes it work.
    fn works(&self, economy: &Economy, prototype: &Prototype) -> bool {
        let fuel = economy.items.iter().zip(&self.items).any(|(item, &had)| item.burns > 0 && had);
        let drives =
            economy.prototypes.iter().zip(&self.prototypes).any(|(p, &had)| p.does == Does::Drive && had);
        prototype.wind > 0 || prototype.burns && fuel || prototype.drive && drives && fuel
    }
}

#[test]
fn it_has_what_the_guide_says() {
    let economy = economy();
    assert_eq!((economy.items.len(), economy.harvests.len(), economy.prototypes.len()), (25, 8, 14));
    let extraction = economy.recipes.iter().filter(|r| r.harvest.is_some()).count();
    assert_eq!((extraction, economy.recipes.len() - extraction), (8, 30));
    assert_eq!(economy.recipes.iter().filter(|r| r.field.is_some()).count(), 7);
    assert_eq!(economy.recipes.iter().filter(|r| r.hand).count(), 4);

    let burns: Vec<_> =
        economy.items.iter().filter(|i| i.burns > 0).map(|i| (i.name.as_str(), i.burns)).collect();
    assert_eq!(burns, [("wood", 120), ("cinder", 960), ("peat", 240), ("charcoal", 480)]);
    let defaults: Vec<_> = (economy.prototypes.iter())
        .filter_map(|p| Some((p.name.as_str(), economy.recipes[usize::from(p.default?)].name.as_str())))
        .collect();
    let expected =
        [("pump", "pump_water"), ("furnace", "smelt_iron"), ("mill", "cut_gear"), ("sprinkler", "quench")];
    assert_eq!(defaults, expected);
    let last: Vec<_> = economy.recipes.iter().filter(|r| r.last).map(|r| r.name.as_str()).collect();
    assert_eq!(last, ["pump_water", "rake_cinder"]);
    assert_eq!(economy.fire, Some(6));
    // The period is whole at work 1, 2 and 3.
    for recipe in economy.recipes.iter().filter(|r| r.name != "quench") {
        assert_eq!(recipe.time % 60, 0, "{}", recipe.name);
    }
}

#[test]
fn everything_is_reachable_from_the_kit_and_from_empty_hands() {
    let economy = economy();
    let kit: Vec<u8> = economy.start.kit.iter().map(|c| c.0).collect();
    for kit in [&kit[..], &[]] {
        let reach = Reach::from(&economy, kit, None);
        for (item, had) in economy.items.iter().zip(&reach.items) {
            assert!(had, "{}", item.name);
        }
        for (prototype, had) in economy.prototypes.iter().zip(&reach.prototypes) {
            assert!(had, "{}", prototype.name);
        }
    }
}

#[test]
fn no_prototype_needs_itself() {
    let economy = economy();
    for (id, prototype) in economy.prototypes.iter().enumerate() {
        let reach = Reach::from(&economy, &[], Some(id as u8));
        for (item, _) in &prototype.cost {
            assert!(reach.items[usize::from(*item)], "{}", prototype.name);
        }
    }
}

#[test]
fn every_item_but_the_heart_has_a_use() {
    let economy = economy();
    let consumers = |item: u8| economy.recipes.iter().filter(|r| r.ingredient(item).is_some()).count();
    for (id, item) in economy.items.iter().enumerate() {
        let id = id as u8;
        let built = economy.prototypes.iter().any(|p| p.cost.iter().any(|c| c.0 == id));
        assert_eq!(consumers(id) > 0 || built, item.name != "heart", "{}", item.name);
    }
    let count = |name| consumers(economy.item(name).unwrap());
    assert_eq!((count("ash"), count("slag")), (2, 3));
}

/// Steps from the field: what is harvested has 1.
#[test]
fn the_heart_is_six_deep() {
    let economy = economy();
    let mut depth: Vec<Option<u32>> = vec![None; economy.items.len()];
    for harvest in &economy.harvests {
        depth[usize::from(harvest.item)] = Some(1);
    }
    for _ in 0..economy.items.len() {
        for recipe in economy.recipes.iter().filter(|r| !r.inputs.is_empty()) {
            let needs: Option<Vec<u32>> = recipe.inputs.iter().map(|i| depth[usize::from(i.0)]).collect();
            let Some(found) = needs.map(|needs| needs.into_iter().max().unwrap() + 1) else { continue };
            for (item, _) in recipe.out.iter().chain(&recipe.by) {
                let known = &mut depth[usize::from(*item)];
                *known = Some(known.map_or(found, |k| k.min(found)));
            }
        }
    }
    let mut by_depth: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (item, depth) in economy.items.iter().zip(depth) {
        by_depth.entry(depth.unwrap()).or_default().push(&item.name);
    }
    assert_eq!(by_depth[&2], ["charcoal", "ash", "iron", "slag", "brick", "glass", "cord", "resin", "spore"]);
    assert_eq!(by_depth[&3], ["steel", "gear", "wire", "lye"]);
    assert_eq!((&by_depth[&4][..], &by_depth[&5][..]), (&["lens", "motor"][..], &["logic"][..]));
    assert_eq!(by_depth[&6], ["heart"]);
}

/// A fraction in lowest terms.
fn fraction(n: u64, d: u64) -> (u64, u64) {
    let (mut a, mut b) = (n, d);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    (n / a, d / a)
}

/// Units of the field in a piece, by the first recipe that makes it; by-products are for free.
fn raw(economy: &Economy, item: u8) -> (u64, u64) {
    if economy.harvests.iter().any(|h| h.item == item) {
        return (1, 1);
    }
    let recipe =
        economy.recipes.iter().find(|r| r.out.is_some_and(|o| o.0 == item)).expect("made by a recipe");
    let (n, d) = sum(economy, &recipe.inputs);
    fraction(n, d * u64::from(recipe.out.unwrap().1))
}

fn sum(economy: &Economy, counts: &[(u8, u16)]) -> (u64, u64) {
    counts.iter().fold((0, 1), |(n, d), &(item, count)| {
        let (a, b) = raw(economy, item);
        fraction(n * b + u64::from(count) * a * d, d * b)
    })
}

#[test]
fn what_machines_cost_in_units_of_the_field() {
    let economy = economy();
    for (name, units) in [
        ("conveyor", 2),
        ("splitter", 6),
        ("sorter", 8),
        ("crossing", 8),
        ("extractor", 8),
        ("pump", 8),
        ("furnace", 8),
        ("dynamo", 24),
        ("mill", 20),
        ("still", 22),
        ("assembler", 36),
        ("depot", 6),
        ("sprinkler", 10),
        ("planter", 28),
    ] {
        let id = economy.prototype(name).expect(name);
        assert_eq!(sum(&economy, &economy.prototypes[usize::from(id)].cost), (units, 1), "{name}");
    }
}

/// A rate: an item and pieces per second at work 1.
type Rate = (&'static str, (u64, u64));

#[test]
#[rustfmt::skip]
fn rates_are_exact() {
    let economy = economy();
    let cells = |n, d| ("cell", (n, d));
    let table: &[(&str, &[Rate], &[Rate])] = &[
        ("char_wood", &[("wood", (2, 3))], &[("charcoal", (1, 3)), ("ash", (1, 3))]),
        ("char_peat", &[("peat", (2, 3))], &[("charcoal", (1, 3)), ("ash", (1, 3))]),
        ("smelt_iron", &[("ore", (2, 3))], &[("iron", (1, 3)), ("slag", (1, 3))]),
        ("flux_iron", &[("ore", (1, 1)), ("cinder", (1, 3))], &[("iron", (2, 3)), ("slag", (1, 3))]),
        ("smelt_steel", &[("iron", (1, 3)), ("charcoal", (1, 6))], &[("steel", (1, 6)), ("slag", (1, 6))]),
        ("fire_brick", &[("stone", (1, 1))], &[("brick", (1, 3))]),
        ("slag_brick", &[("slag", (1, 3)), ("stone", (1, 3))], &[("brick", (1, 3))]),
        ("melt_glass", &[("shard", (1, 3)), ("stone", (1, 3))], &[("glass", (1, 3))]),
        ("cut_gear", &[("iron", (2, 3))], &[("gear", (1, 3))]),
        ("draw_wire", &[("iron", (1, 3))], &[("wire", (2, 3))]),
        ("twist_cord", &[("fibre", (2, 3))], &[("cord", (1, 3))]),
        ("shred_wood", &[("wood", (1, 3))], &[("fibre", (2, 3))]),
        ("grind_slag", &[("slag", (1, 1))], &[("ore", (1, 3)), ("stone", (2, 3))]),
        ("wring_moss", &[("fibre", (4, 3))], &[("water", (1, 3)), ("peat", (1, 3))]),
        ("leach_lye", &[("ash", (1, 3)), ("water", (1, 3))], &[("lye", (1, 3))]),
        ("boil_resin", &[("wood", (2, 3)), ("water", (1, 3))], &[("resin", (1, 3))]),
        ("culture_spore", &[("fibre", (2, 3)), ("peat", (1, 6)), ("water", (1, 3))], &[("spore", (1, 6))]),
        ("breed_spore", &[("spore", (1, 3)), ("fibre", (2, 3)), ("water", (1, 3))], &[("spore", (2, 3))]),
        ("quench_cinder", &[("cinder", (1, 3)), ("water", (1, 3))], &[("stone", (1, 3)), ("ash", (1, 3))]),
        ("polish_lens", &[("glass", (2, 3)), ("lye", (1, 3))], &[("lens", (1, 3))]),
        ("build_motor", &[("gear", (1, 6)), ("wire", (1, 3)), ("steel", (1, 6))], &[("motor", (1, 6))]),
        ("build_logic", &[("lens", (1, 6)), ("wire", (1, 3)), ("resin", (1, 6))], &[("logic", (1, 6))]),
        ("build_heart", &[("motor", (1, 6)), ("logic", (1, 6)), ("spore", (1, 3)), ("cinder", (1, 12))], &[("heart", (1, 12))]),
        ("plant_moss", &[("spore", (1, 6)), ("water", (1, 6))], &[cells(1, 6)]),
        ("plant_thicket", &[("spore", (1, 12)), ("wood", (1, 6)), ("water", (1, 6))], &[cells(1, 12)]),
        ("lay_peat", &[("ash", (1, 6)), ("fibre", (1, 3)), ("water", (1, 6))], &[cells(1, 12)]),
        ("seed_ferrite", &[("slag", (2, 3)), ("lye", (1, 12))], &[cells(1, 12)]),
        ("seed_crystal", &[("glass", (1, 6)), ("lye", (1, 6))], &[cells(1, 12)]),
        ("quench", &[("water", (1, 1))], &[cells(1, 1)]),
        ("flood", &[("water", (4, 3))], &[cells(1, 12)]),
    ];
    assert_eq!(table.len(), economy.recipes.iter().filter(|r| r.harvest.is_none()).count());
    for (name, inputs, outputs) in table {
        let recipe = recipe(&economy, name);
        let rate = |count: u16| fraction(20 * u64::from(count), u64::from(recipe.time));
        let rates = |counts: &[(u8, u16)]| -> Vec<_> {
            counts.iter().map(|c| (economy.items[usize::from(c.0)].name.as_str(), rate(c.1))).collect()
        };
        let mut expected = inputs.to_vec();
        expected.sort_by_key(|(item, _)| economy.item(item));
        assert_eq!(rates(&recipe.inputs), expected, "{name}");
        let made: Vec<_> = recipe.out.iter().chain(&recipe.by).copied().collect();
        let found = if recipe.field.is_some() { vec![("cell", rate(1))] } else { rates(&made) };
        assert_eq!(&found, outputs, "{name}");
    }
    for (fuel, seconds) in [("peat", 12), ("wood", 6), ("charcoal", 24), ("cinder", 48)] {
        let burns = economy.items[usize::from(economy.item(fuel).unwrap())].burns;
        assert_eq!(fraction(20, u64::from(burns)), (1, seconds), "{fuel}");
    }
}

/// What a second needs, by name: machines at work 1, and items that are brought.
#[derive(Default)]
struct Plan {
    machines: BTreeMap<String, (u64, u64)>,
    brought: BTreeMap<String, (u64, u64)>,
}

/// The recipe that plans use for an item; all else is brought.
const MAKES: [(&str, &str); 13] = [
    ("iron", "smelt_iron"),
    ("steel", "smelt_steel"),
    ("charcoal", "char_wood"),
    ("glass", "melt_glass"),
    ("gear", "cut_gear"),
    ("wire", "draw_wire"),
    ("lye", "leach_lye"),
    ("resin", "boil_resin"),
    ("spore", "breed_spore"),
    ("lens", "polish_lens"),
    ("motor", "build_motor"),
    ("logic", "build_logic"),
    ("heart", "build_heart"),
];

impl Plan {
    fn of(economy: &Economy, item: &str) -> Self {
        let mut plan = Plan::default();
        plan.add(economy, item, (1, 1));
        plan
    }

    fn add(&mut self, economy: &Economy, item: &str, rate: (u64, u64)) {
        let plus =
            |sum: &mut (u64, u64), (a, b): (u64, u64)| *sum = fraction(sum.0 * b + a * sum.1, sum.1 * b);
        let Some((_, name)) = MAKES.iter().find(|m| m.0 == item) else {
            return plus(self.brought.entry(item.to_owned()).or_insert((0, 1)), rate);
        };
        let (recipe, id) = (recipe(economy, name), economy.item(item).unwrap());
        // A product that is an ingredient too goes back first.
        let gain = recipe.out.unwrap().1 - recipe.ingredient(id).map_or(0, |i| i.1);
        let crafts = fraction(rate.0, rate.1 * u64::from(gain));
        let machines = (crafts.0 * u64::from(recipe.time), crafts.1 * 20);
        plus(self.machines.entry((*name).to_owned()).or_insert((0, 1)), machines);
        for &(input, count) in recipe.inputs.iter().filter(|i| i.0 != id) {
            let rate = (crafts.0 * u64::from(count), crafts.1);
            self.add(economy, &economy.items[usize::from(input)].name, rate);
        }
    }
}

#[test]
#[rustfmt::skip]
fn ratios_come_out_whole() {
    let economy = economy();
    let whole = |expected: &[(&str, u64)]| -> BTreeMap<String, (u64, u64)> {
        expected.iter().map(|&(name, n)| (name.to_owned(), (n, 1))).collect()
    };
    let plan = Plan::of(&economy, "motor");
    assert_eq!(plan.machines, whole(&[
        ("smelt_iron", 15), ("smelt_steel", 6), ("char_wood", 3), ("cut_gear", 3), ("draw_wire", 3), ("build_motor", 6),
    ]));
    assert_eq!(plan.brought, whole(&[("ore", 10), ("wood", 2)]));

    let plan = Plan::of(&economy, "logic");
    assert_eq!(plan.machines, whole(&[
        ("smelt_iron", 3), ("melt_glass", 6), ("draw_wire", 3), ("leach_lye", 3), ("boil_resin", 3),
        ("polish_lens", 3), ("build_logic", 6),
    ]));
    let brought = [("ore", 2), ("shard", 2), ("stone", 2), ("wood", 2), ("water", 2), ("ash", 1)];
    assert_eq!(plan.brought, whole(&brought));

    let plan = Plan::of(&economy, "heart");
    assert_eq!(plan.machines, whole(&[
        ("smelt_iron", 36), ("smelt_steel", 12), ("char_wood", 6), ("melt_glass", 12), ("cut_gear", 6),
        ("draw_wire", 12), ("leach_lye", 6), ("boil_resin", 6), ("breed_spore", 12), ("build_motor", 12),
        ("build_logic", 12), ("polish_lens", 6), ("build_heart", 12),
    ]));
    // The ash is what the charcoal leaves.
    let brought = [
        ("ore", 24), ("wood", 8), ("water", 8), ("fibre", 8), ("shard", 4), ("stone", 4), ("cinder", 1), ("ash", 2),
    ];
    assert_eq!(plan.brought, whole(&brought));
}
