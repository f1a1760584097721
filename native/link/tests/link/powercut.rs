//! Power cuts at any operation of a writer: whatever was acknowledged is there afterwards.
//!
//! `POWERCUT_CUTS` is how many are staged for each seed.

use crate::support::check;
use crate::support::cut;
use std::path::Path;
use std::process::Command;

use crate::support::cut::{Dice, Disk};

/// Memory: what is staged needs no disk of its own.
fn fast_directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Runs the writer and gives what it did.
fn recorded(built: &Path, seed: u64) -> Vec<cut::Record> {
    let home = fast_directory();
    let (dir, journal) = (home.path().join("data"), home.path().join("journal"));
    std::fs::create_dir(&dir).unwrap();
    let status = Command::new(built.join("examples/workload"))
        .arg(&dir)
        .args([seed.to_string(), "400".to_owned()])
        .env("LD_PRELOAD", built.join("libpowercut.so"))
        .env("POWERCUT_DIR", dir.canonicalize().unwrap())
        .env("POWERCUT_JOURNAL", &journal)
        .env("POWERCUT_NOSYNC", "1")
        .status()
        .unwrap();
    assert!(status.success());
    cut::journal(&journal)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_a_cut_at_any_operation() {
    let cuts: usize = std::env::var("POWERCUT_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(100);
    let built = cut::built();
    for seed in 1..=4 {
        let records = recorded(&built, seed);
        assert!(records.len() > 1000, "{} operations", records.len());
        let mut dice = Dice(seed);
        // The first operations, which make the files, more often than others.
        let mut at: Vec<usize> = (0..cuts)
            .map(|n| if n % 4 == 0 { dice.below(records.len().min(120)) } else { dice.below(records.len()) })
            .collect();
        at.push(records.len() - 1);
        at.sort_unstable();
        let mut disk = Disk::default();
        let mut played = 0;
        for at in at {
            for record in records.get(played..=at).unwrap_or_default() {
                disk.play(record);
            }
            played = played.max(at + 1);
            let dir = fast_directory();
            disk.cut(dir.path(), &mut dice);
            let notes = check::notes(&disk.marks);
            if let Err(error) = check::check(dir.path(), &notes).await {
                let kept = dir.keep();
                panic!(
                    "seed {seed}, cut after operation {at} of {}: {error} ({})",
                    records.len(),
                    kept.display()
                );
            }
        }
    }
}
