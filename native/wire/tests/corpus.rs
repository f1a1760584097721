//! What the fuzzer found interesting once is looked at in every run of the tests.

#[path = "../fuzz/checks.rs"]
mod checks;

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
