//! `gp_worker`: computes for a BEAM, in a process that may die.
//!
//! It is a hidden node that registers the process `gp_worker`. Through that the BEAM hands it the memory for
//! calls and the memory of worlds ([`control`]); from then on requests come through the ring ([`service`]),
//! and what takes long is done by other threads ([`runners`]). Nothing here decides anything: a world is
//! what its memory says, and the BEAM says how far to tick it.

#![forbid(unsafe_code)]

mod control;
mod runners;
mod service;
mod worlds;

use std::process::ExitCode;

use clap::Parser;
use dist::program::{self, Connection};

/// Computes for a BEAM: ticks worlds that lie in shared memory.
///
/// The application starts it by itself. By hand it attaches to any local BEAM, and answers `GenServer.call({:gp_worker, node}, :ping)`.
#[derive(Debug, Parser)]
#[command(name = "gp_worker", version)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
}

fn main() -> ExitCode {
    // Whatever panics leaves a half-done request behind: end, and let a fresh process do it again.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("gp_worker: {panic}");
        std::process::exit(101);
    }));
    program::run(&Cli::parse().connection, control::serve)
}
