//! Clients for a server of Phoenix channels: many sockets on one thread, and as few system calls as there can be,
//! because it runs on the machine whose server it measures.
//!
//! Commands come as lines on standard input, and each is answered by one line of JSON on standard output:
//!
//! | command | does |
//! |---|---|
//! | `sockets N` | opens or closes sockets until N have joined `bench:room` |
//! | `echo CLIENTS COUNT` | COUNT events `echo` in all; each client sends its next when it has its answer |
//! | `fanout RATE COUNT BYTES` | has the server broadcast, and takes what comes: RATE a second, 0 for at once |
//! | `rest MS` | nothing but heartbeats |
//!
//! A broadcast carries the `CLOCK_MONOTONIC` of its sender, whose machine is this one.

mod clock;
mod command;
mod frame;
mod load;
mod protocol;
mod report;
mod run;
mod socket;

pub use command::{BadCommand, Command};
pub use load::{Error, Load};
pub use report::Report;

use std::io::Write;
use std::net::SocketAddr;

/// Serves the commands on standard input until it ends.
pub fn serve(address: SocketAddr, path: &str) -> Result<(), Error> {
    let mut load = Load::new(address, path)?;
    load.listen_to_stdin()?;
    let mut out = std::io::stdout().lock();
    while let Some(line) = load.next_line()? {
        let report = match line.parse() {
            Ok(command) => load.run(command)?,
            Err(error) => Report::refused(&error),
        };
        let line = serde_json::to_string(&report).expect("plain data");
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Error::Output)?;
    }
    Ok(())
}
