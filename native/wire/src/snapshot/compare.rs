//! Where two snapshots differ first.

use std::collections::BTreeMap;

use super::{Header, Snapshot, SnapshotError};

/// A difference between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The chunk; none if it is not in a chunk.
    pub chunk: Option<u32>,
    /// The cell; none if it is in no cell.
    pub cell: Option<u32>,
    /// What differs, in a sentence.
    pub what: String,
}

/// The first difference: in what the snapshots are of; then by chunk and cell, the field before machines and owners;
/// then in players, outcomes and counters. None if all is equal.
///
/// # Errors
///
/// What is wrong with one of them.
pub fn compare(a: &Snapshot, b: &Snapshot) -> Result<Option<Difference>, SnapshotError> {
    if let Some(what) = headers(&a.header, &b.header) {
        return Ok(Some(Difference { chunk: None, cell: None, what }));
    }
    let field = fields(a, b)?;
    let (site, person) = objects(a, b)?;
    let first = match (field, site) {
        (Some(field), Some(site)) if (site.chunk, site.cell) < (field.chunk, field.cell) => Some(site),
        (field, site) => field.or(site),
    };
    Ok(first.or(person))
}

fn headers(a: &Header, b: &Header) -> Option<String> {
    let words = [
        ("frequency", a.frequency.into(), b.frequency.into()),
        ("seed", a.seed, b.seed),
        ("tick", a.tick, b.tick),
    ];
    let [frequency, seed, tick] =
        words.map(|(name, a, b)| (a != b).then(|| format!("{name} {a} against {b}")));
    let ruleset = (a.ruleset_hash != b.ruleset_hash).then(|| "another ruleset".to_owned());
    frequency.or(seed).or(ruleset).or(tick)
}

fn fields(a: &Snapshot, b: &Snapshot) -> Result<Option<Difference>, SnapshotError> {
    for chunk in 0..a.grid.chunks() {
        let (ours, theirs) = (a.field(chunk)?, b.field(chunk)?);
        if ours == theirs {
            continue;
        }
        let pairs = ours.cells().zip(theirs.cells()).enumerate();
        for (n, ((kind, amount), (their_kind, their_amount))) in pairs {
            if (kind, amount) != (their_kind, their_amount) {
                let what = format!("kind {kind} with {amount} against kind {their_kind} with {their_amount}");
                return Ok(Some(Difference { chunk: Some(chunk), cell: Some(cell_of(a, chunk, n)), what }));
            }
        }
    }
    Ok(None)
}

/// The id of the `n`th cell of a chunk.
fn cell_of(snapshot: &Snapshot, chunk: u32, n: usize) -> u32 {
    snapshot.grid.window(chunk).map_or(0, |(rows, cols)| {
        let row = rows.start + (n / cols.len()) as u32;
        (snapshot.grid.first_cell(row) + cols.start + n % cols.len()) as u32
    })
}

const MACHINE: u64 = 1;
const OWNER: u64 = 2;
const PLAYER: u64 = 3;
const OUTCOME: u64 = 4;

/// The first difference in what stands on cells, and the first in the rest.
fn objects(a: &Snapshot, b: &Snapshot) -> Result<(Option<Difference>, Option<Difference>), SnapshotError> {
    let (ours, theirs) = (collect(a)?, collect(b)?);
    let (mut site, mut person): (Option<Difference>, Option<Difference>) = (None, None);
    let differing = ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(key)));
    let mut differing: Vec<u64> = differing.copied().filter(|key| ours.get(key) != theirs.get(key)).collect();
    differing.sort_unstable();
    for key in differing {
        let (id, what) = (key & ((1 << 48) - 1), told(key, ours.get(&key), theirs.get(&key)));
        if matches!(key >> 56, MACHINE | OWNER) && (id as usize) < a.grid.cells() {
            let chunk = chunk_of(a, id as usize);
            let found = Difference { chunk: Some(chunk), cell: Some(id as u32), what };
            if site.as_ref().is_none_or(|first| (found.chunk, found.cell) < (first.chunk, first.cell)) {
                site = Some(found);
            }
        } else if person.is_none() {
            person = Some(Difference { chunk: None, cell: None, what });
        }
    }
    Ok((site, person))
}

fn collect(snapshot: &Snapshot) -> Result<BTreeMap<u64, Vec<u8>>, SnapshotError> {
    let mut objects = BTreeMap::new();
    snapshot.objects(|key, bytes| {
        objects.insert(key, bytes.to_vec());
        Ok::<(), SnapshotError>(())
    })?;
    Ok(objects)
}

fn chunk_of(snapshot: &Snapshot, cell: usize) -> u32 {
    let grid = snapshot.grid;
    let f = grid.frequency() as usize;
    match cell.checked_sub(10 * f * f) {
        Some(pole) => grid.chunk_of((10 * f + pole) as u32, 0),
        None => grid.chunk_of((cell / f) as u32, cell % f),
    }
}

fn told(key: u64, ours: Option<&Vec<u8>>, theirs: Option<&Vec<u8>>) -> String {
    let number = key & ((1 << 48) - 1);
    let name = match key >> 56 {
        MACHINE => "machine".to_owned(),
        OWNER => "owner".to_owned(),
        PLAYER => format!("player {number}"),
        OUTCOME => format!("outcome in slot {} of player {}", number & 0xff, number >> 8),
        _ => "the counters of players and outcomes".to_owned(),
    };
    match (ours, theirs) {
        (Some(_), None) => format!("{name} against none"),
        (None, _) => format!("{name} is missing in the first"),
        (Some(ours), Some(theirs)) => {
            let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            match (ours.get(same), theirs.get(same)) {
                (Some(a), Some(b)) => format!("{name}: its byte {same} is {a} against {b}"),
                _ => format!("{name}: {} bytes against {}", ours.len(), theirs.len()),
            }
        }
    }
}
