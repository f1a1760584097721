//! `gp_link`: keeps what must not be lost, for a BEAM. The program is flags and threads, everything else is the
//! library.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dist::program::{self, Connection, Threaded};

/// How long what was asked for may take when the BEAM goes.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps the event log for a BEAM: what players did, in SQLite, durable before it is answered.
///
/// The application starts it by itself. By hand it attaches to any local BEAM, and serves after
/// `GenServer.call({:gp_link, node}, {:open, "DIR", %{}})`.
#[derive(Debug, Parser)]
#[command(name = "gp_link", version)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
}

fn main() -> ExitCode {
    // Whatever panics leaves a half-done request behind: end, and let a fresh process find out what was written.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("gp_link: {panic}");
        std::process::exit(101);
    }));
    program::run_threaded(
        &Cli::parse().connection,
        Threaded { threads: 2, grace: GRACE },
        link::control::serve,
    )
}
