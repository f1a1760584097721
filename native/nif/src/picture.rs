//! `picture_*`: still pictures of a world.

use picture::View;
use rustler::{Binary, Encoder, Env, NewBinary, Term};

use crate::{atoms, world};

/// A PNG of the planes of a world: `{:ok, png}` or `{:error, reason}` with a sentence.
#[rustler::nif(schedule = "DirtyCpu")]
fn picture_png<'a>(
    env: Env<'a>,
    frequency: u32,
    kinds: Binary,
    amounts: Binary,
    (size, longitude, latitude): (u32, f64, f64),
) -> Term<'a> {
    let view = View { size, longitude, latitude };
    match picture::png(frequency, &kinds, &world::amounts_from(&amounts), &view) {
        Ok(png) => {
            let mut binary = NewBinary::new(env, png.len());
            binary.as_mut_slice().copy_from_slice(&png);
            (atoms::ok(), Binary::from(binary)).encode(env)
        }
        Err(error) => (atoms::error(), error.to_string()).encode(env),
    }
}
