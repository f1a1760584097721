//! `field_*`: what clients are told of the field, and what they do with it.

use hexworld::Sphere;
use rustler::{Binary, Encoder, Env, NewBinary, NifResult, Term};
use wire::field::{self, Grid};

use crate::atoms;

fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Binary<'a> {
    let mut copy = NewBinary::new(env, bytes.len());
    copy.as_mut_slice().copy_from_slice(bytes);
    copy.into()
}

/// Planes changed as a diff or a keyframe says: `{:ok, tick, kinds, amounts}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn field_patch<'a>(env: Env<'a>, kinds: Binary, amounts: Binary, message: Binary) -> Term<'a> {
    let copy = |binary: &Binary| {
        let mut copy = NewBinary::new(env, binary.len());
        copy.as_mut_slice().copy_from_slice(binary);
        copy
    };
    let (mut kinds, mut amounts) = (copy(&kinds), copy(&amounts));
    match field::patch(kinds.as_mut_slice(), amounts.as_mut_slice(), &message) {
        Ok(tick) => (atoms::ok(), tick, Binary::from(kinds), Binary::from(amounts)).encode(env),
        Err(fault) => (atoms::error(), fault.to_string()).encode(env),
    }
}

/// A keyframe of planes: of everything for `nil`, else of a list of chunks. The caller has checked all of them.
#[rustler::nif(schedule = "DirtyCpu")]
fn field_keyframe<'a>(
    env: Env<'a>,
    frequency: u32,
    tick: u64,
    kinds: Binary,
    amounts: Binary,
    chunks: Term,
) -> NifResult<Binary<'a>> {
    let chunks = if chunks.is_atom() { None } else { Some(numbers(chunks)?) };
    let grid = Grid::new(frequency).ok_or(rustler::Error::BadArg)?;
    let message = field::keyframe(grid, tick, &kinds, &amounts, chunks.as_deref());
    message.map(|message| binary(env, &message)).ok_or(rustler::Error::BadArg)
}

/// A diff cut into those of its chunks, as far as they are in the list: `{:ok, [{chunk, diff}]}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn field_split<'a>(env: Env<'a>, diff: Binary, chunks: Term) -> NifResult<Term<'a>> {
    Ok(match field::split(&diff, &numbers(chunks)?) {
        Ok(parts) => {
            let parts: Vec<_> = parts.iter().map(|(chunk, part)| (*chunk, binary(env, part))).collect();
            (atoms::ok(), parts).encode(env)
        }
        Err(fault) => (atoms::error(), fault.to_string()).encode(env),
    })
}

/// The chunks that have a cell at most `radius` steps from `cell`, in order.
#[rustler::nif(schedule = "DirtyCpu")]
fn field_area(frequency: u32, cell: u32, radius: u32) -> NifResult<Vec<u32>> {
    let sphere = Sphere::new(frequency).map_err(|_| rustler::Error::BadArg)?;
    if cell >= sphere.cells() {
        return Err(rustler::Error::BadArg);
    }
    Ok(sphere.chunks_around(cell, radius))
}

/// The numbers of a proper list; decoding an improper one would panic.
fn numbers(list: Term) -> NifResult<Vec<u32>> {
    list.list_length()?;
    list.decode()
}
