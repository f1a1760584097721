//! What `docs/edge.md` says in tables and lists, against what there is.

use dist::Term;
use dist::term::as_atom;
use gp_edge::config::Limits;
use gp_edge::metrics::Metrics;

fn text() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/edge.md")).unwrap()
}

#[test]
fn limits_and_their_defaults() {
    let text = text();
    // `rate` and `burst` share a row.
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut found: Vec<(String, u64)> = rows
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 6 && cells[2].starts_with(|first: char| first.is_ascii_digit()))
        .flat_map(|cells| {
            let names = cells[1].split(", ").map(|name| name.trim_matches('`').to_owned());
            let values = cells[2].split(", ").map(|value| value.parse().unwrap());
            names.zip(values).collect::<Vec<_>>()
        })
        .collect();
    let mut expected: Vec<(String, u64)> =
        Limits::default().all().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn everything_that_is_counted() {
    let text = text();
    let (_, counted) = text.split_once("## What is counted").unwrap();
    let Term::Map(all) = Metrics::default().term() else { panic!() };
    for (name, value) in &all.map {
        let name = as_atom(name).unwrap();
        assert!(counted.contains(&format!("`{name}`")), "{name} is not in docs/edge.md");
        if let Term::Map(inner) = value {
            let (_, list) = counted.split_once(&format!("- `{name}`: ")).unwrap();
            let list = list.split("\n- ").next().unwrap();
            let mut found: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
            let mut expected: Vec<&str> = inner.map.keys().map(|name| as_atom(name).unwrap()).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected);
        }
    }
}
