//! The program: flags, threads, and everything else in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use dist::program::{self, Connection, Threaded};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How long sockets have to take the news when the input ends.
const GRACE: Duration = Duration::from_millis(500);

/// Serves HTTP, WebSockets and long polls for a BEAM, to which every connection is a process.
///
/// The application starts it by itself. By hand it attaches to any local BEAM, and listens after
/// `GenServer.call({:gp_edge, node}, {:listen, %{acceptor: self(), port: 4000}})`.
#[derive(Debug, Parser)]
#[command(name = "gp_edge", version)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// How many threads do the work [default: half of the cores]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Each connection needs one; how many there may be is the configuration's to say.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cli.threads.unwrap_or((cores / 2).max(1));
    program::run_threaded(&cli.connection, Threaded { threads, grace: GRACE }, gp_edge::control::serve)
}
