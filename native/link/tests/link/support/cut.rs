//! Builds, from the journal of `powercut`, the directory as it may be after a cut.
//!
//! What was synced is there. Of later writes each sector is there or not; of later names, the first few changes of
//! each directory. All of that is drawn from a seed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

const SECTOR: usize = 512;

/// Numbers that look random and are the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Builds the library and the writer, and gives the folder in which they are.
pub fn built() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_gp_link")).parent().and_then(Path::parent).unwrap();
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "-p",
            "powercut",
            "-p",
            "gp_link",
            "--lib",
            "--example",
            "workload",
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success(), "cargo could not build powercut");
    target.join("debug")
}

/// One thing that was done.
#[derive(Debug)]
pub struct Record {
    kind: u8,
    inode: u64,
    number: u64,
    name: String,
    data: Vec<u8>,
    /// Where in the journal.
    at: u64,
}

const CREATE: u8 = 1;
const WRITE: u8 = 2;
const TRUNCATE: u8 = 3;
const SYNC: u8 = 4;
const SYNC_DIR: u8 = 5;
const RENAME: u8 = 6;
const UNLINK: u8 = 7;
const MAKE_DIR: u8 = 8;
const MARK: u8 = 9;

/// Reads a journal; one that was killed in the middle of a record ends before it.
pub fn journal(path: &Path) -> Vec<Record> {
    let bytes = std::fs::read(path).unwrap();
    let mut records = Vec::new();
    let mut at = 0;
    while bytes.len() - at >= 25 {
        let long = |from: usize| u64::from_le_bytes(bytes[at + from..at + from + 8].try_into().unwrap());
        let short =
            |from: usize| u32::from_le_bytes(bytes[at + from..at + from + 4].try_into().unwrap()) as usize;
        let (name_end, end) = (at + 25 + short(17), at + 25 + short(17) + short(21));
        if end > bytes.len() {
            break;
        }
        records.push(Record {
            kind: bytes[at],
            inode: long(1),
            number: long(9),
            name: String::from_utf8(bytes[at + 25..name_end].to_vec()).unwrap(),
            data: bytes[name_end..end].to_vec(),
            at: at as u64,
        });
        at = end;
    }
    records
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default, Clone)]
struct File {
    durable: Vec<u8>,
    pending: Vec<(u64, Change)>,
}

#[derive(Debug, Clone)]
enum Naming {
    Name(String, u64),
    Unname(String),
}

#[derive(Debug, Default, Clone)]
struct Names {
    durable: BTreeMap<String, u64>,
    /// As the program sees them.
    now: BTreeMap<String, u64>,
    pending: Vec<(u64, Naming)>,
}

/// A disk on which a journal is played.
#[derive(Debug, Default)]
pub struct Disk {
    files: HashMap<u64, File>,
    names: Names,
    /// What the program wrote down for itself.
    pub marks: Vec<u8>,
}

fn apply(bytes: &mut Vec<u8>, change: &Change, mut keep: impl FnMut() -> bool) {
    match change {
        Change::Length(len) => {
            if keep() {
                bytes.resize(*len, 0);
            }
        }
        Change::Write(offset, data) => {
            let mut from = 0;
            while from < data.len() {
                let to = data.len().min(from + SECTOR - (offset + from) % SECTOR);
                if keep() {
                    if bytes.len() < offset + to {
                        bytes.resize(offset + to, 0);
                    }
                    bytes[offset + from..offset + to].copy_from_slice(&data[from..to]);
                }
                from = to;
            }
        }
    }
}

fn rename(names: &mut BTreeMap<String, u64>, naming: &Naming) {
    match naming {
        Naming::Name(name, inode) => drop(names.insert(name.clone(), *inode)),
        Naming::Unname(name) => drop(names.remove(name)),
    }
}

impl Disk {
    /// Does what a record says. The log has one directory, so there is one here.
    pub fn play(&mut self, record: &Record) {
        let Record { kind, inode, number, name, data, at } = record;
        match *kind {
            CREATE => {
                // A number that is used again is a new file.
                self.files.insert(*inode, File::default());
                self.naming(*at, Naming::Name(name.clone(), *inode));
            }
            WRITE => self.file(*inode).pending.push((*at, Change::Write(*number as usize, data.clone()))),
            TRUNCATE => self.file(*inode).pending.push((*at, Change::Length(*number as usize))),
            SYNC => {
                let file = self.file(*inode);
                let synced = file.pending.partition_point(|(at, _)| at < number);
                for (_, change) in file.pending.drain(..synced) {
                    apply(&mut file.durable, &change, || true);
                }
            }
            SYNC_DIR => {
                let synced = self.names.pending.partition_point(|(at, _)| at < number);
                for (_, naming) in self.names.pending.drain(..synced) {
                    rename(&mut self.names.durable, &naming);
                }
            }
            RENAME => {
                let to = String::from_utf8(data.clone()).unwrap();
                let inode = self.names.now[name];
                self.naming(*at, Naming::Unname(name.clone()));
                self.naming(*at, Naming::Name(to, inode));
            }
            UNLINK => self.naming(*at, Naming::Unname(name.clone())),
            MARK => self.marks.extend_from_slice(data),
            MAKE_DIR => panic!("a directory below the log's: {name}"),
            _ => {}
        }
    }

    fn naming(&mut self, at: u64, naming: Naming) {
        rename(&mut self.names.now, &naming);
        self.names.pending.push((at, naming));
    }

    fn file(&mut self, inode: u64) -> &mut File {
        self.files.entry(inode).or_default()
    }

    /// Writes the directory as it may be if the power goes now.
    pub fn cut(&self, to: &Path, dice: &mut Dice) {
        let mut names = self.names.durable.clone();
        let kept = dice.below(self.names.pending.len() + 1);
        for (_, naming) in &self.names.pending[..kept] {
            rename(&mut names, naming);
        }
        for (name, inode) in names {
            let file = &self.files[&inode];
            let mut bytes = file.durable.clone();
            // Disks that wrote nothing, little, much and everything of what they had been given.
            let percent = [0, 0, 10, 50, 90, 100, 100][dice.below(7)];
            for (_, change) in &file.pending {
                apply(&mut bytes, change, || dice.below(100) < percent);
            }
            std::fs::write(to.join(name), bytes).unwrap();
        }
    }
}
