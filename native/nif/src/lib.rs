//! The border between the BEAM and the native crates: one file for each prefix of the stubs in
//! `GamePlatform.Native`. Nothing here decides anything; errors become `{:error, reason}`.

// The macros of rustler write documented Elixir functions, not Rust ones.
#![allow(missing_docs)]
#![deny(unsafe_code)]

mod field;
mod hash;
mod json;
mod lock;
mod native;
mod picture;
mod ring;
mod ruleset;
mod snapshot;
mod world;

mod atoms {
    rustler::atoms! {
        ok,
        error,
        nil,
        busy,
        captured,
        cell,
        chunk,
        closed,
        corrupt_peer,
        differs,
        digest,
        equal,
        frequency,
        future,
        invalid_batch,
        invalid_json,
        invalid_term,
        invalid_ruleset,
        invalid_snapshot,
        no_economy,
        no_shared_memory,
        no_such_cell,
        out_of_memory,
        out_of_range,
        ruleset,
        ruleset_hash,
        seed,
        threads,
        tick,
        too_large,
        too_old,
        what,
        wrong_cells,
        isa,
        cores,
        version,
    }
}

rustler::init!("Elixir.GamePlatform.Native");
