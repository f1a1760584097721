//! The economy's reader: each rule, on the small ruleset.

use super::*;

const TINY: &str = include_str!("../../../../priv/rulesets/tiny.toml");

/// Line of the first place of `piece`, from 1.
fn line_of(text: &str, piece: &str) -> usize {
    text[..text.find(piece).expect(piece)].matches('\n').count() + 1
}

#[test]
fn the_small_ruleset_is_read() {
    let ruleset = Ruleset::parse(TINY).unwrap();
    let economy = ruleset.economy.unwrap();
    assert_eq!((economy.items.len(), economy.prototypes.len(), economy.recipes.len()), (6, 10, 8));
    assert_eq!(economy.fire, Some(3));
    assert_eq!(economy.harvest_of(0), Some(&Harvest { kind: 0, item: 0, hand: 4, free: true }));
    assert_eq!(economy.harvest_of(3), None);
    let (lathe, turn_gear) = (economy.prototype("lathe").unwrap(), economy.recipe("turn_gear").unwrap());
    assert_eq!(economy.prototypes[usize::from(lathe)].default, Some(turn_gear));
    let at_lathe: Vec<_> = economy.recipes_at(lathe).map(|(id, r)| (id, r.name.as_str())).collect();
    assert_eq!(at_lathe, [(turn_gear, "turn_gear"), (turn_gear + 1, "grind")]);
    let mow = &economy.recipes[1];
    assert_eq!((mow.harvest, mow.out, mow.last, mow.inputs.len()), (Some(1), Some((1, 1)), true, 0));
    let smelt = &economy.recipes[3];
    assert_eq!((smelt.out, smelt.by), (Some((3, 1)), Some((4, 1))));
    assert_eq!((smelt.ingredient(2), smelt.ingredient(3)), (Some((0, 2)), None));
    assert_eq!(
        economy.recipes[6].field,
        Some(FieldChange { around: false, from: 0, to: 1, amount: Some(9) })
    );
    assert_eq!([0, 3, 4, 24].map(|claims| economy.price(claims)), [1, 1, 2, 7]);
    assert_eq!((economy.item("gear"), economy.item("axle")), (Some(5), None));
}

#[test]
fn pairs_are_sorted_by_item() {
    let text = TINY.replace("{ stone = 60, fibre = 20, metal = 8 }", "{ metal = 8, stone = 60, fibre = 20 }");
    assert_eq!(Ruleset::parse(&text), Ruleset::parse(TINY));
}

/// As the Elixir side gets it.
#[test]
fn its_terms_have_the_agreed_shape() {
    let text = r#"
beat = 1
kind = [{ name = "rock", ripe = 1, cap = 9 }, { name = "moss", ripe = 1, cap = 9 }]
item = [{ name = "b", burns = 7 }, { name = "a" }]
harvest = [{ kind = "moss", item = "a" }]
prototype = [{ name = "oven", does = "craft", burns = true, default = "make", cost = { a = 2, b = 3 } }]
recipe = [
  { name = "make", at = "oven", time = 5, in = { a = 1, b = 2 }, out = { b = 3 }, by = { a = 1 }, hand = true },
  { name = "mow", at = "oven", time = 5, harvest = "moss", last = true },
  { name = "sow", at = "oven", time = 5, in = { a = 1 }, field = { at = "around", from = "rock", to = "moss" } },
]
start = { kit = { a = 1 }, inventory = 9, step = 1, gather = 2, craft = 3, queue = 4 }
claim = { item = "b", base = 0, every = 1, gap = 1, estates = 1 }
"#;
    let ruleset = Ruleset::parse(text).unwrap();
    let recipe = |name, inputs, out, by, harvest, last, field, hand| {
        let pair = |p: Option<[u16; 2]>| serde_json::json!(p);
        serde_json::json!({ "name": name, "at": 0, "time": 5, "inputs": inputs, "out": pair(out),
            "by": pair(by), "harvest": harvest, "last": last, "field": field, "hand": hand })
    };
    let none = None::<u8>;
    let change = serde_json::json!({ "around": true, "from": 0, "to": 1, "amount": null });
    let expected = serde_json::json!({
        "fire": null,
        "items": [{ "name": "b", "burns": 7 }, { "name": "a", "burns": 0 }],
        "harvests": [{ "kind": 1, "item": 1, "hand": 0, "free": false }],
        "prototypes": [{ "name": "oven", "does": "craft", "hold": 0, "wind": 0, "drive": false, "burns": true,
            "buffer": 0, "room": 0, "default": 0, "cost": [[0, 3], [1, 2]] }],
        "recipes": [
            recipe("make", vec![[0, 2], [1, 1]], Some([0, 3]), Some([1, 1]), none, false, None, true),
            recipe("mow", vec![], Some([1, 1]), None, Some(1), true, None, false),
            recipe("sow", vec![[1, 1]], None, None, none, false, Some(change), false),
        ],
        "start": { "kit": [[1, 1]], "inventory": 9, "step": 1, "gather": 2, "craft": 3, "queue": 4 },
        "claim": { "item": 0, "base": 0, "every": 1, "gap": 1, "estates": 1 },
    });
    assert_eq!(serde_json::to_value(ruleset.economy.unwrap()).unwrap(), expected);
}

#[test]
fn the_hash_sees_the_economy() {
    let hash = |text: &str| Ruleset::parse(text).unwrap().hash();
    for (from, to) in [("every = 4", "every = 5"), ("burns = 40", "burns = 41"), ("fire = \"ember\"", "")] {
        assert_ne!(hash(&TINY.replacen(from, to, 1)), hash(TINY), "{from}");
    }
    let bare = &TINY[..TINY.find("fire =").unwrap()];
    let json = serde_json::to_string(&Ruleset::parse(bare).unwrap()).unwrap();
    assert!(!json.contains("economy"), "{json}");
}

#[test]
fn each_mistake_names_its_line_and_reason() {
    let cases: &[(&str, &str, &str)] = &[
        // Names.
        ("{ name = \"slag\" }", "{ name = \"Slag\" }", "a name is 1 to 32 of a-z"),
        ("{ name = \"slag\" }", "{ name = \"\" }", "a name is 1 to 32 of a-z"),
        (
            "{ name = \"slag\" }",
            "{ name = \"abcdefghijklmnopqrstuvwxyzabcdefg\" }",
            "a name is 1 to 32 of a-z",
        ),
        ("{ name = \"slag\" }", "{ name = 3 }", "expected a string"),
        ("{ name = \"slag\" }", "{ burns = 3 }", "\"name\" is missing"),
        ("{ name = \"slag\" }", "{ name = \"ore\" }", "item \"ore\" is named twice"),
        ("name = \"bridge\"", "name = \"belt\"", "prototype \"belt\" is named twice"),
        ("name = \"grind\"", "name = \"dig\"", "recipe \"dig\" is named twice"),
        ("fire = \"ember\"", "fire = \"flame\"", "unknown kind \"flame\""),
        // Items and harvests.
        ("burns = 40", "burns = 0", "1..65535"),
        ("burns = 40", "burns = 65536", "1..65535"),
        ("burns = 40", "burn = 40", "unknown key \"burn\""),
        ("{ kind = \"moss\",", "{ kind = \"rock\",", "kind \"rock\" is harvested twice"),
        ("{ kind = \"moss\",", "{ kind = \"sand\",", "unknown kind \"sand\""),
        ("item = \"fibre\", hand = 2", "item = \"hair\", hand = 2", "unknown item \"hair\""),
        ("item = \"fibre\", hand = 2", "item = \"fibre\", hand = 0", "1..65535"),
        ("item = \"fibre\", hand = 2", "item = \"fibre\", rate = 2", "unknown key \"rate\""),
        ("free = true", "free = 1", "expected true or false"),
        // Prototypes.
        (
            "does = \"carry\"",
            "does = \"haul\"",
            "unknown word for what it does \"haul\"; known: carry, split",
        ),
        ("does = \"carry\", hold = 4", "does = \"carry\"", "\"hold\" is missing"),
        ("does = \"split\", hold = 4", "does = \"split\", hold = 0", "1..255"),
        ("does = \"sort\",  hold = 4", "does = \"sort\",  hold = 256", "1..255"),
        ("does = \"cross\", hold = 4", "does = \"cross\"", "\"hold\" is missing"),
        ("hold = 4, room = 30", "hold = 4", "\"room\" is missing"),
        ("hold = 4, room = 30", "room = 30", "\"hold\" is missing"),
        ("room = 30", "room = 60001", "1..60000"),
        ("room = 30", "room = 0", "1..60000"),
        (
            "does = \"drive\",",
            "does = \"drive\", hold = 4,",
            "\"hold\" is not for a prototype that does \"drive\"",
        ),
        ("wind = 1, buffer = 6", "hold = 4, wind = 1, buffer = 6", "\"hold\" is not for"),
        ("wind = 1, buffer = 6", "room = 4, wind = 1, buffer = 6", "\"room\" is not for"),
        ("hold = 4, room = 30", "hold = 4, room = 30, wind = 1", "\"wind\" is not for"),
        ("hold = 4, room = 30", "hold = 4, room = 30, drive = true", "\"drive\" is not for"),
        ("hold = 4, room = 30", "hold = 4, room = 30, burns = true", "\"burns\" is not for"),
        ("hold = 4, room = 30", "hold = 4, room = 30, buffer = 9", "\"buffer\" is not for"),
        ("hold = 4, room = 30", "hold = 4, room = 30, default = \"dig\"", "\"default\" is not for"),
        ("hold = 4, room = 30", "hold = 4, room = 30, speed = 1", "unknown key \"speed\""),
        ("buffer = 6", "buffer = 0", "1..1000"),
        ("buffer = 6", "buffer = 1001", "1..1000"),
        ("wind = 1, drive = true", "wind = 4, drive = true", "0..3"),
        (
            "wind = 1, drive = true",
            "wind = 0, drive = false",
            "either burns = true or some of wind and drive",
        ),
        ("wind = 1, drive = true", "wind = 0", "either burns = true or some of wind and drive"),
        ("burns = true", "burns = true, wind = 1", "either burns = true or some of wind and drive"),
        ("burns = true", "burns = true, drive = true", "either burns = true or some of wind and drive"),
        ("default = \"smelt\"", "default = \"melt\"", "unknown recipe \"melt\""),
        ("default = \"smelt\"", "default = \"grind\"", "recipe \"grind\" is not worked at by \"oven\""),
        ("cost = { stone = 3 }", "cost = { rock = 3 }", "unknown item \"rock\""),
        ("cost = { stone = 3 }", "cost = { stone = 0 }", "1..100"),
        ("cost = { stone = 3 }", "cost = { stone = 101 }", "1..100"),
        // Recipes.
        ("at = \"oven\"", "at = \"stove\"", "unknown prototype \"stove\""),
        ("at = \"oven\"", "at = \"wheel\"", "\"wheel\" does not craft"),
        ("time = 24", "time = 0", "1..65534"),
        ("time = 24", "time = 65535", "1..65534"),
        ("time = 24,", "", "\"time\" is missing"),
        ("in = { ore = 2 }, out", "out", "\"in\" is missing"),
        ("in = { ore = 2 }", "in = {}", "\"in\" is 1 to 4 items, found 0"),
        (
            "in = { ore = 2 }",
            "in = { ore = 2, stone = 1, gear = 1, slag = 1, fibre = 1 }",
            "\"in\" is 1 to 4 items, found 5",
        ),
        ("in = { ore = 2 }", "in = { tin = 2 }", "unknown item \"tin\""),
        ("in = { ore = 2 }", "in = { ore = 0 }", "1..100"),
        ("in = { ore = 2 }", "in = { ore = 101 }", "1..100"),
        ("in = { ore = 2 }", "in = [\"ore\"]", "expected a table"),
        ("out = { metal = 1 }", "out = { metal = 1, slag = 1 }", "\"out\" is exactly one item, found 2"),
        ("out = { metal = 1 }", "out = {}", "\"out\" is exactly one item, found 0"),
        ("out = { metal = 1 }", "out = { metal = 101 }", "1..100"),
        ("by = { slag = 1 }", "by = { slag = 1, ore = 1 }", "\"by\" is exactly one item, found 2"),
        ("by = { slag = 1 }", "by = { slag = 0 }", "1..100"),
        ("harvest = \"rock\"", "last = true", "exactly one of harvest, out and field"),
        (
            "harvest = \"rock\"",
            "harvest = \"rock\", out = { ore = 1 }",
            "exactly one of harvest, out and field",
        ),
        ("out = { stone = 3 }", "out = { stone = 3 }, field = {}", "exactly one of harvest, out and field"),
        ("harvest = \"rock\"", "harvest = \"ember\"", "kind \"ember\" has no entry in harvest"),
        ("harvest = \"rock\"", "harvest = \"sand\"", "unknown kind \"sand\""),
        ("harvest = \"rock\"", "harvest = \"rock\", in = { ore = 1 }", "a harvest needs no ingredients"),
        ("harvest = \"rock\"", "harvest = \"rock\", by = { ore = 1 }", "\"by\" is only for"),
        ("harvest = \"rock\"", "harvest = \"rock\", hand = true", "\"hand\" is only for"),
        ("in = { stone = 1 }", "in = { stone = 1 }, by = { ore = 1 }", "\"by\" is only for"),
        ("in = { stone = 1 }", "in = { stone = 1 }, hand = true", "\"hand\" is only for"),
        ("in = { stone = 1 }", "in = { stone = 1 }, last = true", "\"last\" is only for"),
        ("hand = true }", "hand = true, speed = 2 }", "unknown key \"speed\""),
        ("at = \"front\"", "at = \"back\"", "unknown place \"back\"; known: front, around"),
        ("from = \"rock\", to = \"moss\"", "from = \"sand\", to = \"moss\"", "unknown kind \"sand\""),
        ("from = \"rock\", to = \"moss\"", "from = \"rock\", to = \"ember\"", "no recipe makes fire"),
        ("from = \"rock\", to = \"moss\"", "from = \"rock\"", "\"to\" is missing"),
        ("amount = 9", "amount = 0", "1..65535"),
        ("amount = 9", "amount = 65536", "1..65535"),
        ("amount = 9", "keep = true", "unknown key \"keep\""),
        // Players and land.
        ("stone = 60", "stones = 60", "unknown item \"stones\""),
        ("stone = 60", "stone = 0", "1..60000"),
        ("stone = 60", "stone = 173", "the kit holds 201 items, the inventory only 200"),
        ("inventory = 200", "inventory = 0", "1..60000"),
        ("inventory = 200", "inventory = 60001", "1..60000"),
        ("step = 2", "step = 0", "1..1000"),
        ("step = 2", "step = 1001", "1..1000"),
        ("step = 2", "stride = 2", "unknown key \"stride\""),
        ("gather = 4", "gather = 0", "1..100"),
        ("gather = 4", "gather = 101", "1..100"),
        ("craft = 5", "craft = 0", "1..1000"),
        ("craft = 5", "craft = 1001", "1..1000"),
        ("queue = 4", "queue = 0", "1..16"),
        ("queue = 4", "queue = 17", "1..16"),
        ("item = \"stone\", base", "item = \"gold\", base", "unknown item \"gold\""),
        ("base = 1", "base = -1", "0..1000"),
        ("base = 1", "base = 1001", "0..1000"),
        ("every = 4", "every = 0", "1..10000"),
        ("every = 4", "every = 10001", "1..10000"),
        ("gap = 2", "gap = 0", "1..8"),
        ("gap = 2", "gap = 9", "1..8"),
        ("estates = 2", "estates = 0", "1..100"),
        ("estates = 2", "estates = 101", "1..100"),
        ("estates = 2", "estate = 2", "unknown key \"estate\""),
    ];
    for (from, to, reason) in cases {
        let error = Ruleset::parse(&TINY.replacen(from, to, 1)).expect_err(to);
        assert_eq!(error.line, line_of(TINY, from), "{to}: {error}");
        assert!(error.reason.contains(reason), "{to}: {error}");
        assert!(error.column >= 1);
    }
}

#[test]
fn its_keys_come_together() {
    for key in ["item", "harvest", "prototype", "recipe", "start", "claim"] {
        let at = TINY.find(&format!("\n{key} = ")).unwrap() + 1;
        let rest = &TINY[at..];
        let end = if rest.find(" = [") == Some(key.len()) {
            rest.find("\n]").unwrap() + 2
        } else {
            rest.find('\n').unwrap()
        };
        let error = Ruleset::parse(&format!("{}{}", &TINY[..at], &rest[end..])).unwrap_err();
        assert!(error.reason.contains(&format!("needs {key:?} too")), "{key}: {error}");
    }
    let field = &TINY[..TINY.find("fire =").unwrap()];
    let error = Ruleset::parse(&format!("{field}fire = \"ember\"\n")).unwrap_err();
    assert_eq!(error.line, line_of(TINY, "fire ="));
    assert_eq!(error.reason, "a ruleset with \"fire\" needs \"item\" too");
    let without_fire = Ruleset::parse(&TINY.replacen("fire = \"ember\"", "", 1)).unwrap();
    assert_eq!(without_fire.economy.unwrap().fire, None);
}

#[test]
fn limits_are_kept() {
    let list = |n: usize, entry: &dyn Fn(usize) -> String| (0..n).map(entry).collect::<Vec<_>>().join(", ");
    let full = |items, prototypes, recipes, cost| {
        let item = |n| format!("{{ name = \"i{n}\" }}");
        let count = |n| format!("i{n} = 100");
        let prototype = |n| {
            format!("{{ name = \"p{n}\", does = \"craft\", wind = 1, cost = {{ {} }} }}", list(cost, &count))
        };
        let recipe = |n| format!("{{ name = \"r{n}\", at = \"p0\", time = 1, harvest = \"rock\" }}");
        format!(
            "beat = 1\nkind = [{{ name = \"rock\", ripe = 1, cap = 1 }}]\nitem = [{}]\nprototype = [{}]\nrecipe = [{}]\n\
             harvest = [{{ kind = \"rock\", item = \"i0\" }}]\n\
             start = {{ kit = {{}}, inventory = 1, step = 1, gather = 1, craft = 1, queue = 1 }}\n\
             claim = {{ item = \"i0\", base = 0, every = 1, gap = 1, estates = 1 }}\n",
            list(items, &item),
            list(prototypes, &prototype),
            list(recipes, &recipe)
        )
    };
    assert_eq!(Ruleset::parse(&full(64, 32, 200, 8)).err(), None);
    for (text, line, reason) in [
        (full(65, 1, 1, 0), 3, "at most 64"),
        (full(9, 33, 1, 0), 4, "at most 32"),
        (full(9, 1, 201, 0), 5, "at most 200"),
        (full(9, 1, 1, 9), 4, "at most 8 items, found 9"),
    ] {
        let error = Ruleset::parse(&text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }
}

proptest::proptest! {
    /// Whatever a file holds, the loader answers and points inside the text.
    #[test]
    fn mangled_text_never_panics(
        at in 0..TINY.len(), len in 0usize..40, put in "[ -~\\n]{0,12}|\\PC{0,6}",
        number: i64, digit in 0usize..60
    ) {
        let mangled = format!("{}{put}{}", &TINY[..at], &TINY[(at + len).min(TINY.len())..]);
        // Another number at one of the places that have one.
        let numbers: Vec<_> = TINY.match_indices("= ").filter(|(n, _)| TINY.as_bytes()[n + 2].is_ascii_digit()).collect();
        let place = numbers[digit % numbers.len()].0 + 2;
        let renumbered = format!("{}{number}{}", &TINY[..place], &TINY[place..]);
        for text in [mangled, renumbered] {
            if let Err(error) = Ruleset::parse(&text) {
                proptest::prop_assert!(error.line <= text.matches('\n').count() + 1, "{}", error);
            }
        }
    }
}
