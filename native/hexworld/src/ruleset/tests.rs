use super::*;

const DEFAULT: &str = include_str!("../../../../priv/rulesets/default.toml");

fn refused(text: &str) -> RulesetError {
    Ruleset::parse(text).expect_err(text)
}

/// The default ruleset with one piece of text replaced.
fn edited(from: &str, to: &str) -> String {
    assert!(DEFAULT.contains(from), "{from}");
    DEFAULT.replacen(from, to, 1)
}

#[test]
fn the_default_ruleset_is_read() {
    let ruleset = Ruleset::parse(DEFAULT).unwrap();
    assert_eq!(ruleset.beat, 16);
    assert_eq!(ruleset.kinds.len(), 8);
    assert_eq!((ruleset.counters.len(), ruleset.grow.len(), ruleset.turn.len()), (7, 8, 24));
    assert_eq!(ruleset.kinds[0].spent, 0);
    assert_eq!(ruleset.counters[2].of, 1 << (2 | 8) | 1 << 3 | 1 << (3 | 8));
    assert_eq!(ruleset.grow[2].condition.when, [0x7e, 127, 127, 127, 127, 127, 127, 127]);
    assert_eq!(ruleset.turn[5].condition.chance, (1, 3));
    assert_eq!(ruleset.turn[10].amount, None);
    assert_eq!(ruleset.generation.unwrap().ore_amount, 800);
}

#[test]
fn the_hash_ignores_layout_and_nothing_else() {
    let hash = Ruleset::parse(DEFAULT).unwrap().hash();
    assert_eq!(Ruleset::parse(&format!("# note\n\n{DEFAULT}")).unwrap().hash(), hash);
    for (from, to) in [
        ("cap = 60 }", "cap = 61 }"),
        ("chance = [4,0], add", "chance = [5,0], add"),
        ("full = true", "full = false"),
        ("vein = 1000", "vein = 1001"),
        ("\"rock\", amount = 20", "\"rock\", amount = 21"),
    ] {
        assert_ne!(Ruleset::parse(&edited(from, to)).unwrap().hash(), hash, "{from}");
    }
}

#[test]
fn each_mistake_names_its_line_and_reason() {
    let cases: &[(&str, &str, usize, &str)] = &[
        ("beat = 16", "beat = 12", 1, "power of two"),
        ("beat = 16", "beat = 512", 1, "1..256"),
        ("beat = 16", "beat = \"16\"", 1, "expected an integer, found string"),
        ("beat = 16", "", 1, "\"beat\" is missing"),
        ("beat = 16", "beat = 16\nbeta = 1", 2, "unknown key \"beta\""),
        ("beat = 16", "beat = ", 1, ""),
        ("name = \"moss\",", "name = \"rock\",", 5, "named twice"),
        (
            "spent = \"rock\" },\n  { name = \"moss\"",
            "spent = \"ash\" },\n  { name = \"moss\"",
            4,
            "unknown kind \"ash\"",
        ),
        ("ripe = 200, cap = 240", "ripe = 0, cap = 240", 10, "1..65535"),
        ("ripe = 200, cap = 240", "ripe = 200, cap = 65536", 10, "1..65535"),
        ("[\"crystal:ripe\"]", "[\"crystal:old\"]", 18, "\"young\" or \"ripe\""),
        ("[\"crystal:ripe\"]", "\"crystal\"", 18, "expected a list"),
        ("{ name = \"ember\",   of", "{ name = \"pulse\", of", 12, "named twice"),
        ("water = [1,2,3,4,5,6] }, add = 2", "water = [1,7] }, add = 2", 24, "0..6"),
        ("water = [1,2,3,4,5,6] }, add = 2", "wet = [1] }, add = 2", 24, "unknown counter \"wet\""),
        ("chance = [15,0]", "chance = [17,0]", 28, "1..16"),
        ("chance = [15,0]", "chance = [1,4]", 28, "0..3"),
        ("chance = [15,0]", "chance = [1]", 28, "[n, r]"),
        ("{ of = [\"crystal\"], add = 2 }", "{ of = [\"crystal\"], add = 128 }", 26, "-128..127"),
        ("{ of = [\"moss\"], add = 1 }", "{ of = [\"moss\"], add = 125 }", 21, "must stay in -128..127"),
        ("to = \"rock\", amount = 60", "to = \"ash\", amount = 60", 35, "unknown kind \"ash\""),
        ("to = \"rock\", amount = 60", "to = \"rock\", amount = -1", 35, "0..65535"),
        ("to = \"rock\", amount = 60", "amount = 60", 35, "\"to\" is missing"),
        ("sea = 30000,", "", 57, "\"sea\" is missing"),
        ("sea = 30000", "sea = 70000", 57, "0..65535"),
        ("peat = 45000", "peat = 45000, gold = 1", 57, "unknown key \"gold\""),
    ];
    for (from, to, line, reason) in cases {
        let error = refused(&edited(from, to));
        assert_eq!(error.line, *line, "{to}: {error}");
        assert!(error.reason.contains(reason), "{to}: {error}");
        assert!(error.column >= 1);
    }
}

#[test]
fn limits_are_kept() {
    let kind = |n: usize| format!("{{ name = \"k{n}\", ripe = 1, cap = 9 }}");
    let kinds = |n: usize| format!("kind = [{}]", (0..n).map(kind).collect::<Vec<_>>().join(", "));
    let times = |n: usize, entry: &dyn Fn(usize) -> String| (0..n).map(entry).collect::<Vec<_>>().join(", ");
    let grow = |_| "{ of = [\"k0\"], add = 1 }".to_owned();
    let turn = |n: usize| format!("{{ of = [\"k0\"], to = \"k0\", amount = {} }}", n % 15);
    let counter = |n: usize| format!("{{ name = \"c{n}\", of = [\"k0\"] }}");

    let full = |k, c, g, t| {
        format!(
            "beat = 1\n{}\ncounter = [{}]\ngrow = [{}]\nturn = [{}]",
            kinds(k),
            times(c, &counter),
            times(g, &grow),
            times(t, &turn)
        )
    };
    assert!(Ruleset::parse(&full(8, 8, 8, 24)).is_ok());
    for (n, text) in
        [full(9, 0, 0, 0), full(1, 9, 0, 0), full(1, 0, 9, 0), full(1, 0, 0, 25)].iter().enumerate()
    {
        let error = refused(text);
        assert!(error.reason.contains("at most"), "{error}");
        assert_eq!(error.line, n + 2);
    }
    let amounts = |n: usize| format!("{{ of = [\"k0\"], to = \"k0\", amount = {n} }}");
    assert!(
        refused(&format!("beat = 1\n{}\nturn = [{}]", kinds(1), times(16, &amounts)))
            .reason
            .contains("15 different")
    );
    assert!(refused("beat = 1\nkind = []").reason.contains("at least one"));
    assert!(
        refused(&format!("beat = 1\n{}\ngen = {{ sea = 1 }}", kinds(8))).reason.contains("needs the kinds")
    );
    assert!(refused(&"#".repeat(MAX_TEXT_BYTES + 1)).reason.contains("longer than"));
}

proptest::proptest! {
    /// Whatever a file holds, the loader answers and points inside the text.
    #[test]
    fn mangled_text_never_panics(at in 0..DEFAULT.len(), len in 0usize..40, put in "[ -~\\n]{0,12}|\\PC{0,6}") {
        let text = format!("{}{put}{}", &DEFAULT[..at], &DEFAULT[(at + len).min(DEFAULT.len())..]);
        if let Err(error) = Ruleset::parse(&text) {
            proptest::prop_assert!(error.line <= text.matches('\n').count() + 1, "{}", error);
        }
    }
}
