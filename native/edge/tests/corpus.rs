//! What the fuzzer found interesting once is looked at in every run of the tests.

#[path = "../fuzz/checks.rs"]
mod checks;

fn each(name: &str, check: impl Fn(&[u8])) {
    let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 3, "the corpus of {name} is gone");
    for file in files {
        let data = std::fs::read(&file).unwrap();
        println!("{}", file.display());
        check(&data);
    }
}

#[test]
fn envelopes() {
    each("envelope", checks::envelope);
}

#[test]
fn frames() {
    each("frames", checks::frames);
}
