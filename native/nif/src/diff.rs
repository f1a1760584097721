//! `diff_*`: what clients do with a diff.

use rustler::{Binary, Encoder, Env, NewBinary, Term};

use crate::atoms;

/// Planes changed as a diff says: `{:ok, tick, kinds, amounts}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn diff_patch<'a>(env: Env<'a>, kinds: Binary, amounts: Binary, diff: Binary) -> Term<'a> {
    let copy = |binary: &Binary| {
        let mut copy = NewBinary::new(env, binary.len());
        copy.as_mut_slice().copy_from_slice(binary);
        copy
    };
    let (mut kinds, mut amounts) = (copy(&kinds), copy(&amounts));
    match hexworld::diff::patch(kinds.as_mut_slice(), amounts.as_mut_slice(), &diff) {
        Ok(tick) => (atoms::ok(), tick, Binary::from(kinds), Binary::from(amounts)).encode(env),
        Err(fault) => (atoms::error(), fault.to_string()).encode(env),
    }
}
