//! A native program that can misbehave: what the tests of the BEAM side start.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dist::program::{self, Connection};
use dist::{Event, term};

/// Answers `ping` with `pong` and `{echo, Term}` with the term, and counts in a file.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// Where the count of work done is written all the time
    #[arg(long, value_name = "FILE")]
    progress: Option<PathBuf>,
    /// Say that it works, and do nothing
    #[arg(long)]
    stuck: bool,
    /// Exit with this status once it serves
    #[arg(long, value_name = "STATUS")]
    exit: Option<u8>,
    /// Exit with this status before connecting
    #[arg(long, value_name = "STATUS")]
    exit_first: Option<u8>,
    /// Connect and serve, but never say so
    #[arg(long)]
    never_ready: bool,
    /// Open the socket and never shake hands
    #[arg(long)]
    hang: bool,
    /// Do not end when told to
    #[arg(long)]
    stubborn: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(status) = cli.exit_first {
        return ExitCode::from(status);
    }
    if cli.hang {
        let _socket = cli.connection.socket.as_ref().map(std::os::unix::net::UnixStream::connect);
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
        return ExitCode::SUCCESS;
    }
    if cli.stubborn {
        let options = cli.connection.open(|| std::thread::sleep(Duration::MAX));
        let options = options.unwrap_or_else(|error| error.exit());
        return serve_with(&cli, options);
    }
    program::run(&cli.connection, |node| serve(&cli, node))
}

fn serve_with(cli: &Cli, options: dist::Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (node, driver) = dist::connect(&options).await.unwrap();
        tokio::select! {
            _ = serve(cli, node) => {}
            _ = driver.run() => {}
        }
    });
    ExitCode::SUCCESS
}

/// Whole or not at all, so that nobody reads half a number.
fn count(cli: &Cli, done: u64) -> std::io::Result<()> {
    let Some(file) = &cli.progress else { return Ok(()) };
    let new = file.with_extension("new");
    std::fs::write(&new, done.to_string())?;
    std::fs::rename(&new, file)
}

async fn serve(cli: &Cli, node: dist::Node) -> Result<(), Box<dyn std::error::Error>> {
    let mut server = node.register("peer")?;
    count(cli, 0)?;
    if !cli.never_ready {
        println!("a line that is no part of the protocol");
        program::ready();
    }
    if let Some(status) = cli.exit {
        std::process::exit(status.into());
    }
    let mut work = tokio::time::interval(Duration::from_millis(5));
    let mut done = 0u64;
    loop {
        tokio::select! {
            _ = work.tick() => if !cli.stuck {
                done += 1;
                count(cli, done)?;
            },
            event = server.recv() => match event {
                None => return Ok(()),
                Some(Event::Call(call)) => {
                    let answer = match term::as_tuple(&call.request) {
                        Some([kind, value]) if term::as_atom(kind) == Some("echo") => value.clone(),
                        _ => term::atom("pong"),
                    };
                    call.caller.reply(answer).await?;
                }
                Some(_) => {}
            },
        }
    }
}
