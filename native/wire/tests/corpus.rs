//! What the fuzzer found interesting once is looked at in every run of the tests, and some of what it might try.

#[path = "../fuzz/checks.rs"]
mod checks;

use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn snapshots() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/snapshot");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 3, "the corpus is gone");
    for file in files {
        let data = std::fs::read(&file).unwrap();
        println!("{}", file.display());
        checks::snapshot(&data);
    }
}

/// A section as the check of the fuzzer takes it: mostly the one that must come.
fn section(kind: u8, number: u8, raw_len: u16) -> impl Strategy<Value = Vec<u8>> {
    let wanted = move || Just((kind, number));
    let name = prop_oneof![60 => wanted().boxed(), 1 => (0..4u8, 0..14u8).boxed()];
    let plain = vec(0..8u8, usize::from(raw_len)).prop_map(move |bytes| (raw_len, bytes));
    let any = (prop_oneof![Just(raw_len), any::<u16>()], vec(any::<u8>(), 0..60));
    (name, prop_oneof![60 => plain.boxed(), 1 => any.boxed()]).prop_map(|((kind, number), (raw, packed))| {
        let len = (packed.len() as u16).to_le_bytes();
        [&[kind, number], &raw.to_le_bytes()[..], &len, &packed].concat()
    })
}

/// Objects, mostly sound.
fn objects() -> impl Strategy<Value = Vec<u8>> {
    let object = (1..6u8, 0..40u64, prop_oneof![9 => Just(2u16), 1 => 0..9u16]);
    vec(object, 0..6).prop_map(|mut objects| {
        objects.sort_unstable();
        let mut raw = Vec::new();
        for (kind, id, len) in objects {
            raw.extend((u64::from(kind) << 56 | id).to_le_bytes());
            raw.extend(len.to_le_bytes());
            raw.extend([7, 7]);
        }
        let len = (raw.len() as u16).to_le_bytes();
        [&[2, 0], &len[..], &len, &raw].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sections_whose_checks_fit(
        ruleset in section(0, 0, 9),
        field in (0..12u8).map(|chunk| section(1, chunk, 3)).collect::<Vec<_>>(),
        objects in proptest::option::of(objects()),
        end in section(3, 0, 0),
    ) {
        let data = [vec![1, 0], ruleset, field.concat(), objects.unwrap_or_default(), end].concat();
        checks::snapshot(&data);
    }
}
