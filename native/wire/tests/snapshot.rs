//! Snapshots: what is written can be read, and what was changed is refused with the place.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use wire::field::Grid;
use wire::snapshot::{
    Difference, Fault, Header, MAX_OBJECTS, Packed, Place, Records, Seal, Snapshot, SnapshotError, compare,
    write,
};

/// All that a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    header: Header,
    ruleset: String,
    /// Raw bytes of the chunks.
    field: Vec<Vec<u8>>,
    objects: Vec<(u64, Vec<u8>)>,
}

fn header(frequency: u32) -> Header {
    Header { frequency, tick: 41, seed: 7, ruleset_hash: [3; 32], digest: [4; 32] }
}

fn chunk_cells(grid: Grid, chunk: u32) -> usize {
    let (rows, cols) = grid.window(chunk).unwrap();
    rows.len() * cols.len()
}

impl State {
    /// Cells and objects that follow from a number.
    fn new(frequency: u32, seed: u32) -> Self {
        let grid = Grid::new(frequency).unwrap();
        let byte =
            move |n: usize, below: u32| (n as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) % below;
        let field = (0..grid.chunks()).map(|chunk| {
            let cells = chunk_cells(grid, chunk);
            let kinds = (0..cells).map(move |n| byte(n + chunk as usize, 8) as u8);
            kinds.chain((0..2 * cells).map(move |n| byte(n, 16) as u8)).collect()
        });
        let key = |kind: u64, id: u64| kind << 56 | id;
        let objects = vec![
            (key(1, 3), vec![1; 11]),
            (key(2, 3), vec![2; 8]),
            (key(2, 9), vec![2; 8]),
            (key(3, 1), b"ann".to_vec()),
            (key(4, 256), vec![]),
            (key(5, 0), vec![9; 12]),
        ];
        State { header: header(frequency), ruleset: "beat = 1".repeat(9), field: field.collect(), objects }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut records = Records::new();
        self.objects.iter().for_each(|(key, bytes)| records.push(*key, bytes).unwrap());
        let field: Vec<_> = self.field.iter().cloned().map(Packed::new).collect();
        let objects: Vec<_> = records.sections().into_iter().map(Packed::new).collect();
        write(&self.header, &self.ruleset, &field, &objects).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let snapshot = Snapshot::parse(bytes)?;
        let field = (0..snapshot.grid.chunks()).map(|chunk| {
            let field = snapshot.field(chunk)?;
            Ok([field.kinds(), field.amounts()].concat())
        });
        let field = field.collect::<Result<_, _>>()?;
        let mut objects = Vec::new();
        snapshot.objects(|key, bytes| {
            objects.push((key, bytes.to_vec()));
            Ok::<(), SnapshotError>(())
        })?;
        Ok(State { header: snapshot.header, ruleset: snapshot.ruleset, field, objects })
    }
}

/// Where each section begins, and where the last ends.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![112];
    while let Some(head) = bytes[*starts.last().unwrap()..].get(..29) {
        let len = u32::from_le_bytes(head[9..13].try_into().unwrap());
        starts.push(starts.last().unwrap() + 29 + len as usize);
    }
    starts
}

fn refused(bytes: &[u8], what: &str) -> SnapshotError {
    let error = match State::read(bytes) {
        Ok(_) => panic!("{what} was accepted"),
        Err(error) => error,
    };
    let sentence = error.to_string();
    let named =
        ["in the header", "in section ", "in what follows"].iter().any(|name| sentence.starts_with(name));
    assert!(named && error.at <= bytes.len(), "{what}: {sentence}");
    error
}

fn objects() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let key = (1u64..=5, 0u64..1 << 48).prop_map(|(kind, id)| kind << 56 | id);
    btree_map(key, vec(any::<u8>(), 0..90), 0..40).prop_map(|objects| objects.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_can_be_read(
        frequency in prop_oneof![1u32..5, 63u32..67], seed: u32, ruleset in ".{0,200}", objects in objects(),
        tick in 0u64..1 << 53, world_seed: u64, digest: [u8; 32],
    ) {
        let mut state = State { ruleset, objects, ..State::new(frequency, seed) };
        state.header = Header { tick, seed: world_seed, digest, ..state.header };
        prop_assert_eq!(State::read(&state.bytes()), Ok(state));
    }

    /// Whatever comes, it is looked at without a panic.
    #[test]
    fn bytes_are_refused_or_read(bytes in vec(any::<u8>(), 0..400), known in 0usize..150) {
        let mut whole = State::new(1, 1).bytes();
        whole.truncate(known);
        whole.extend(bytes);
        prop_assert!(State::read(&whole).is_err());
    }
}

#[test]
fn every_cut_is_refused() {
    let bytes = State::new(1, 1).bytes();
    for len in 0..bytes.len() {
        refused(&bytes[..len], &format!("{len} bytes"));
    }
    let long = refused(&[&bytes[..], &[0]].concat(), "a byte more");
    assert_eq!((long.place, long.fault), (Place::After, Fault::Long(1)));
}

#[test]
fn every_changed_bit_is_refused() {
    let bytes = State::new(1, 1).bytes();
    let starts = starts(&bytes);
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = refused(&changed, &format!("bit {bit}"));
        // It is named where it is: the section that the bit is in, or a header that says so.
        match starts.iter().rposition(|&start| start <= bit / 8) {
            None => assert_eq!(error.place, Place::Header, "bit {bit}: {error}"),
            Some(section) => {
                assert!(
                    error.to_string().starts_with(&format!("in section {section} ")),
                    "bit {bit}: {error}"
                );
            }
        }
    }
}

#[test]
fn sections_that_change_places_are_refused() {
    let bytes = State::new(1, 1).bytes();
    let starts = starts(&bytes);
    let section = |n: usize| &bytes[starts[n]..starts[n + 1]];
    for a in 0..starts.len() - 1 {
        for b in a + 1..starts.len() - 1 {
            let mut swapped = bytes[..starts[a]].to_vec();
            swapped.extend(section(b));
            swapped.extend(&bytes[starts[a + 1]..starts[b]]);
            swapped.extend(section(a));
            swapped.extend(&bytes[starts[b + 1]..]);
            let error = refused(&swapped, &format!("sections {a} and {b} swapped"));
            assert!(error.to_string().contains(&format!("section {a} ")), "{error}");
        }
    }
}

/// Even one that is of the same place, and whose bytes are all the same.
#[test]
fn sections_of_another_snapshot_are_refused() {
    let (ours, mut theirs) = (State::new(1, 1), State::new(1, 1));
    theirs.header.tick += 1;
    let (ours, theirs) = (ours.bytes(), theirs.bytes());
    let starts = starts(&ours);
    for n in 0..starts.len() - 1 {
        let span = starts[n]..starts[n + 1];
        let mut mixed = ours.clone();
        mixed[span.clone()].copy_from_slice(&theirs[span]);
        let error = refused(&mixed, &format!("section {n} of another"));
        assert_eq!((error.at, error.fault), (starts[n], Fault::Check));
    }
    let mixed = [&theirs[..112], &ours[112..]].concat();
    assert_eq!(refused(&mixed, "another header").at, 112);
}

#[test]
fn a_later_version_is_named() {
    let mut bytes = State::new(1, 1).bytes();
    bytes[4] = 2;
    let error = refused(&bytes, "version 2");
    assert_eq!(
        error.to_string(),
        "in the header, at byte 4: version 2 was written by a newer release; this one reads up to version 1"
    );
}

/// A snapshot of frequency 1 whose sections are what is given: kind, number, raw length and packed bytes.
fn sealed(header: Header, count: u32, sections: &[(u8, u32, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let seal = Seal::new(&header, count, &mut bytes);
    for &(kind, number, raw_len, packed) in sections {
        seal.raw_section(kind, number, raw_len, packed, &mut bytes);
    }
    bytes
}

fn record(kind: u64, id: u64, bytes: &[u8]) -> Vec<u8> {
    let key = (kind << 56 | id).to_le_bytes();
    [&key, &(bytes.len() as u16).to_le_bytes()[..], bytes].concat()
}

/// One whose sections are sound but for one.
fn with(at: usize, section: (u8, u32, u32, &[u8])) -> Vec<u8> {
    let objects = record(1, 3, b"m");
    let mut sections: Vec<(u8, u32, u32, &[u8])> = vec![(0, 0, 1, b"x")];
    sections.extend((0..12).map(|chunk| (1, chunk, 3, &[0u8, 1, 0][..])));
    sections.push((2, 0, 11, &objects));
    sections.push((3, 0, 0, b""));
    sections[at] = section;
    sealed(header(1), 15, &sections)
}

fn fault(at: usize, section: (u8, u32, u32, &[u8])) -> Fault {
    refused(&with(at, section), "a made-up section").fault
}

/// Sections whose checks fit, because somebody wrote them so.
#[test]
fn made_up_sections_are_refused() {
    assert!(State::read(&with(0, (0, 0, 1, b"y"))).is_ok());
    assert_eq!(fault(0, (0, 0, 1, b"\xff")), Fault::Text(0));
    assert_eq!(fault(0, (0, 0, 1 << 21, b"x")), Fault::Length { found: 1 << 21, expected: 1 << 20 });
    assert_eq!(fault(1, (1, 1, 3, &[0; 3])), Fault::Order { kind: 1, number: 1 });
    assert_eq!(fault(1, (1, 0, 3, &[8, 0, 0])), Fault::Cell(0, 8));
    assert_eq!(fault(1, (1, 0, 6, &[0; 6])), Fault::Length { found: 6, expected: 3 });
    assert_eq!(fault(1, (1, 0, 3, &[0; 4])), Fault::Length { found: 4, expected: 3 });
    assert!(matches!(fault(1, (1, 0, 3, &[0xf0])), Fault::Packed(_)));
    let most = MAX_OBJECTS as u32;
    assert_eq!(
        fault(13, (2, 0, most + 1, b"x")),
        Fault::Length { found: most as usize + 1, expected: MAX_OBJECTS }
    );
    assert_eq!(fault(13, (2, 0, 0, b"")), Fault::Length { found: 0, expected: MAX_OBJECTS });
    assert_eq!(fault(13, (2, 0, 5, b"12345")), Fault::Object(0));
    for [(a, b), (c, d)] in
        [[(1, 3), (1, 3)], [(1, 3), (1, 2)], [(2, 0), (1, 9)], [(1, 3), (1, 1 << 48)], [(1, 0), (6, 0)]]
    {
        let two = [record(a, b, b"m"), record(c, d, b"m")].concat();
        let wanted = Fault::Key(c << 56 | d);
        assert_eq!(fault(13, (2, 0, two.len() as u32, &two)), wanted);
    }
    assert_eq!(fault(13, (2, 0, 10, &record(0, 3, b""))), Fault::Key(3));
    let cut = record(1, 3, b"machine");
    assert_eq!(fault(13, (2, 0, 16, &cut[..16])), Fault::Object(0));
    assert_eq!(fault(14, (3, 0, 1, b"x")), Fault::Length { found: 1, expected: 0 });
}

/// What a header says costs no memory before it is checked.
#[test]
fn headers_that_cannot_be_are_refused() {
    let word = |header, count| refused(&sealed(header, count, &[]), "a header").fault;
    let tick = 1 << 53;
    assert_eq!(word(Header { tick, ..header(1) }, 14), Fault::Word("the tick", tick));
    for frequency in [0, 4097, u32::MAX] {
        assert_eq!(word(header(frequency), 14), Fault::Word("the frequency", frequency.into()));
    }
    assert_eq!(word(header(1), 13), Fault::Sections { found: 13, least: 14 });
    assert_eq!(word(header(1), u32::MAX), Fault::Sections { found: u32::MAX, least: 14 });
    assert_eq!(word(header(4096), 40_964), Fault::Short { needed: 29 * 40_964, found: 0 });
}

#[test]
fn keys_ascend_or_are_refused() {
    let mut records = Records::new();
    assert!(records.push(1 << 56 | 5, b"a").is_ok());
    for key in [1 << 56 | 5, 1 << 56 | 4, 6 << 56, 2 << 56 | 1 << 48, 0] {
        assert!(records.push(key, b"b").is_err(), "{key:#x}");
    }
    assert!(records.push(1 << 56 | 6, &[0; 65536]).is_err());
    assert!(records.push(1 << 56 | 6, &[0; 65535]).is_ok());
}

/// More objects than one section takes.
#[test]
fn many_objects_lie_in_several_sections() {
    let objects: Vec<_> = (0..9000).map(|n| (1 << 56 | n, vec![n as u8; 60])).collect();
    let state = State { objects, ..State::new(1, 1) };
    let bytes = state.bytes();
    assert_eq!(starts(&bytes).len() - 1, 14 + 3);
    assert_eq!(State::read(&bytes), Ok(state));
}

#[test]
fn the_first_difference_is_named() {
    let state = State::new(70, 1);
    let told = |other: &State| {
        let (a, b) = (state.bytes(), other.bytes());
        compare(&Snapshot::parse(&a).unwrap(), &Snapshot::parse(&b).unwrap()).unwrap()
    };
    let difference = |chunk, cell, what: &str| Some(Difference { chunk, cell, what: what.to_owned() });
    assert_eq!(told(&state), None);

    let mut other = state.clone();
    other.header.tick = 42;
    assert_eq!(told(&other), difference(None, None, "tick 41 against 42"));

    // Chunk 1 of a frequency of 70 has six columns, from 64 on.
    let mut other = state.clone();
    (other.field[1][8], other.field[2][0]) = (7, 7);
    let kind = state.field[1][8];
    let amount = |field: &[u8], n: usize| {
        let amounts = &field[field.len() / 3..];
        u16::from_le_bytes([amounts[2 * n], amounts[2 * n + 1]])
    };
    let (one, two) = (amount(&state.field[1], 8), amount(&other.field[1], 8));
    let what = format!("kind {kind} with {one} against kind 7 with {two}");
    assert_eq!(told(&other), difference(Some(1), Some(70 + 66), &what));

    // An object on an earlier cell comes first, and the field of a cell before what stands on it.
    other.objects[0].1[4] = 5;
    assert_eq!(told(&other), difference(Some(0), Some(3), "machine: its byte 4 is 1 against 5"));
    other.field[0][3] ^= 1;
    assert!(told(&other).unwrap().what.starts_with("kind "));

    let mut other = state.clone();
    other.objects.remove(2);
    assert_eq!(told(&other), difference(Some(0), Some(9), "owner against none"));
    let mut other = state.clone();
    other.objects[3].1.push(b'a');
    other.objects[5].1[0] = 1;
    assert_eq!(told(&other), difference(None, None, "player 1: 3 bytes against 4"));
    let mut other = state.clone();
    other.objects[4].1.push(1);
    assert_eq!(told(&other), difference(None, None, "outcome in slot 0 of player 1: 0 bytes against 1"));
}

/// Files for the fuzzer to begin with; run it by hand after the format has changed.
#[test]
#[ignore = "writes the corpus"]
fn corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/snapshot");
    let put = |name: &str, first: u8, bytes: &[u8]| {
        std::fs::write(format!("{folder}/{name}"), [&[first], bytes].concat()).unwrap();
    };
    let bytes = State::new(1, 1).bytes();
    put("whole", 0, &bytes);
    put("cut", 0, &bytes[..300]);
    put("no_check", 0, &[&bytes[..96], &[0; 16]].concat());
    let section = |kind: u8, number: u8, raw_len: u16, packed: &[u8]| {
        let (raw, len) = (raw_len.to_le_bytes(), (packed.len() as u16).to_le_bytes());
        [&[kind, number], &raw[..], &len[..], packed].concat()
    };
    let forged = |cells: &[u8], raw: u16, objects: &[u8]| {
        let mut bytes = vec![0];
        bytes.extend(section(0, 0, 4, b"beat"));
        (0..12).for_each(|chunk| bytes.extend(section(1, chunk, raw, cells)));
        bytes.extend(section(2, 0, objects.len() as u16, objects));
        bytes.extend(section(3, 0, 0, b""));
        bytes
    };
    let mut objects = (1u64 << 56 | 3).to_le_bytes().to_vec();
    objects.extend([2, 0, 7, 7]);
    put("forged", 1, &forged(&[1, 2, 3], 3, &objects));
    put("forged_kind", 1, &forged(&[9, 2, 3], 3, &objects));
    put("forged_packed", 1, &forged(&[0x10, 1], 3, &objects));
    put("forged_objects", 1, &forged(&[1, 2, 3], 3, &[objects.clone(), objects].concat()));
}
