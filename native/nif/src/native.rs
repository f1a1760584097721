//! `native_*`: what this build and this machine are.

use hexworld::Isa;
use rustler::{Atom, Env, Term};

use crate::atoms;

/// Version of the native code, the form of the rule that runs here, and cores.
#[rustler::nif]
fn native_info(env: Env) -> Term {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    rustler::types::map::map_new(env)
        .map_put(atoms::version(), env!("CARGO_PKG_VERSION"))
        .and_then(|map| map.map_put(atoms::isa(), Isa::best().to_string()))
        .and_then(|map| map.map_put(atoms::cores(), cores))
        .unwrap_or_else(|_| rustler::types::map::map_new(env))
}

/// Does nothing, for benchmarks: what a call on a normal scheduler costs.
#[rustler::nif]
fn native_nothing() -> Atom {
    atoms::ok()
}

/// The same on a dirty scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn native_nothing_dirty() -> Atom {
    atoms::ok()
}
