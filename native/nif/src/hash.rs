//! `hash_*`: digests.

use rustler::{Binary, Env, NewBinary};

/// BLAKE3 of a binary.
#[rustler::nif(schedule = "DirtyCpu")]
fn hash_blake3<'a>(env: Env<'a>, data: Binary) -> Binary<'a> {
    let mut digest = NewBinary::new(env, 32);
    digest.as_mut_slice().copy_from_slice(blake3::hash(&data).as_bytes());
    digest.into()
}
