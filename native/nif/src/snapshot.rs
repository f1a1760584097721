//! `snapshot_*`: worlds as bytes, in the format of `wire::snapshot`.

use hexworld::Sphere;
use hexworld::snapshot::{Contents, Objects};
use rustler::{Binary, Encoder, Env, NewBinary, ResourceArc, Term};
use wire::snapshot::{Difference, Header, Snapshot, SnapshotError, compare};

use crate::world::{Captured, amounts_from, binary};
use crate::{atoms, ruleset};

fn refused<'a>(env: Env<'a>, reason: impl ToString) -> Term<'a> {
    (atoms::error(), reason.to_string()).encode(env)
}

/// The snapshot of what was captured, with the text of the world's ruleset: `{:ok, tick, binary}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn snapshot_encode<'a>(env: Env<'a>, captured: ResourceArc<Captured>, text: Binary) -> Term<'a> {
    let Ok(text) = std::str::from_utf8(&text) else { return refused(env, "the ruleset is not UTF-8") };
    match captured.capture().encode(text) {
        Ok(bytes) => (atoms::ok(), captured.capture().tick, binary(env, &bytes)).encode(env),
        Err(fault) => refused(env, fault),
    }
}

/// A snapshot of a state that is given piece by piece: amounts are little-endian u16, objects ascend by key.
#[rustler::nif(schedule = "DirtyCpu")]
#[allow(clippy::too_many_arguments)]
fn snapshot_pack<'a>(
    env: Env<'a>,
    frequency: u32,
    seed: u64,
    tick: u64,
    text: Binary,
    digest: Binary,
    kinds: Binary,
    amounts: Binary,
    given: Vec<(u64, Binary)>,
) -> Term<'a> {
    let (Ok(sphere), Ok(digest)) = (Sphere::new(frequency), <[u8; 32]>::try_from(&*digest)) else {
        return refused(env, "there is no such world or digest");
    };
    let (ruleset, text) = match (ruleset::parse(&text), std::str::from_utf8(&text)) {
        (Ok(ruleset), Ok(text)) => (ruleset, text),
        _ => return refused(env, "the ruleset cannot be read"),
    };
    let mut objects = Objects::default();
    given.iter().for_each(|(key, bytes)| objects.push(*key, bytes));
    let Some(contents) = Contents::new(sphere, kinds.to_vec(), amounts_from(&amounts), objects) else {
        return refused(env, "the planes are of another sphere");
    };
    let header = Header { frequency, tick, seed, ruleset_hash: ruleset.hash(), digest };
    match contents.pack(&header, text) {
        Ok(bytes) => (atoms::ok(), binary(env, &bytes)).encode(env),
        Err(fault) => refused(env, fault),
    }
}

/// What a snapshot is of, once all its checks fit: `{:ok, map}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn snapshot_info<'a>(env: Env<'a>, snapshot: Binary) -> Term<'a> {
    match Snapshot::parse(&snapshot) {
        Ok(Snapshot { header, ruleset, .. }) => {
            let pairs = [
                (atoms::version(), wire::snapshot::VERSION.encode(env)),
                (atoms::frequency(), header.frequency.encode(env)),
                (atoms::seed(), header.seed.encode(env)),
                (atoms::tick(), header.tick.encode(env)),
                (atoms::digest(), binary(env, &header.digest).encode(env)),
                (atoms::ruleset_hash(), binary(env, &header.ruleset_hash).encode(env)),
                (atoms::ruleset(), binary(env, ruleset.as_bytes()).encode(env)),
            ];
            match Term::map_from_pairs(env, &pairs) {
                Ok(map) => (atoms::ok(), map).encode(env),
                Err(_) => refused(env, "no memory"),
            }
        }
        Err(fault) => refused(env, fault),
    }
}

/// All that a snapshot holds, in the form of `snapshot_pack`: `{:ok, tick, kinds, amounts, [{key, bytes}]}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn snapshot_unpack<'a>(env: Env<'a>, snapshot: Binary) -> Term<'a> {
    let unpacked =
        Snapshot::parse(&snapshot).and_then(|snapshot| Ok((snapshot.header.tick, Contents::of(&snapshot)?)));
    match unpacked {
        Ok((tick, contents)) => {
            let mut amounts = NewBinary::new(env, 2 * contents.amounts().len());
            let (pairs, _) = amounts.as_mut_slice().as_chunks_mut();
            pairs.iter_mut().zip(contents.amounts()).for_each(|(pair, amount)| *pair = amount.to_le_bytes());
            let objects: Vec<_> =
                contents.objects().iter().map(|(key, bytes)| (key, binary(env, bytes))).collect();
            (atoms::ok(), tick, binary(env, contents.kinds()), Binary::from(amounts), objects).encode(env)
        }
        Err(fault) => refused(env, fault),
    }
}

/// Where two snapshots differ first: `:equal` or `{:differs, map}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn snapshot_compare<'a>(env: Env<'a>, a: Binary, b: Binary) -> Term<'a> {
    let name = |which, fault: SnapshotError| format!("the {which}: {fault}");
    let both = Snapshot::parse(&a).map_err(|fault| name("first", fault)).and_then(|a| {
        let b = Snapshot::parse(&b).map_err(|fault| name("second", fault))?;
        compare(&a, &b).map_err(|fault| name("content of one", fault))
    });
    match both {
        Ok(None) => atoms::equal().encode(env),
        Ok(Some(Difference { chunk, cell, what })) => {
            let pairs = [
                (atoms::chunk(), chunk.encode(env)),
                (atoms::cell(), cell.encode(env)),
                (atoms::what(), what.encode(env)),
            ];
            match Term::map_from_pairs(env, &pairs) {
                Ok(map) => (atoms::differs(), map).encode(env),
                Err(_) => refused(env, "no memory"),
            }
        }
        Err(sentence) => refused(env, sentence),
    }
}
