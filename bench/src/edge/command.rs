//! What the client is asked to do. Everything is bounded, so that no typing error floods the machine.

use std::str::FromStr;

use thiserror::Error;

/// More are not opened.
const MAX_SOCKETS: usize = 20_000;
/// More events or deliveries are not asked for by one command.
const MAX_MESSAGES: usize = 10_000_000;
const MAX_BYTES: usize = 60_000;
const MAX_RATE: u64 = 100_000;
const MAX_REST_MS: u64 = 120_000;

/// A line of standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// So many sockets have joined.
    Sockets(usize),
    /// Events that are answered, one after another on each client.
    Echo {
        /// Sockets that take part.
        clients: usize,
        /// Events of all together.
        count: usize,
    },
    /// Broadcasts by the server.
    Fanout {
        /// Broadcasts a second; 0 for as fast as it can.
        rate: u64,
        /// How many.
        count: usize,
        /// Length of the payload.
        bytes: usize,
    },
    /// Milliseconds of heartbeats.
    Rest(u64),
}

/// A line that is no command.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "expected `sockets N`, `echo CLIENTS COUNT`, `fanout RATE COUNT BYTES` or `rest MS` within their limits, got {0:?}"
)]
pub struct BadCommand(String);

impl FromStr for Command {
    type Err = BadCommand;

    fn from_str(line: &str) -> Result<Self, BadCommand> {
        parse(line).filter(Command::bounded).ok_or_else(|| BadCommand(line.into()))
    }
}

fn parse(line: &str) -> Option<Command> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let numbers: Vec<u64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let size = |n: u64| usize::try_from(n).ok();
    Some(match (name, numbers[..].as_ref()) {
        ("sockets", [n]) => Command::Sockets(size(*n)?),
        ("echo", [clients, count]) => Command::Echo { clients: size(*clients)?, count: size(*count)? },
        ("fanout", [rate, count, bytes]) => {
            Command::Fanout { rate: *rate, count: size(*count)?, bytes: size(*bytes)? }
        }
        ("rest", [ms]) => Command::Rest(*ms),
        _ => return None,
    })
}

impl Command {
    fn bounded(&self) -> bool {
        match *self {
            Command::Sockets(n) => n <= MAX_SOCKETS,
            Command::Echo { clients, count } => (1..=MAX_SOCKETS).contains(&clients) && count <= MAX_MESSAGES,
            Command::Fanout { rate, count, bytes } => {
                rate <= MAX_RATE && (1..=MAX_MESSAGES).contains(&count) && (64..=MAX_BYTES).contains(&bytes)
            }
            Command::Rest(ms) => ms <= MAX_REST_MS,
        }
    }

    pub(super) fn within(deliveries: usize) -> bool {
        deliveries <= MAX_MESSAGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_listed() {
        assert_eq!("sockets 500".parse(), Ok(Command::Sockets(500)));
        assert_eq!("echo 100 5000".parse(), Ok(Command::Echo { clients: 100, count: 5000 }));
        let fanout = Command::Fanout { rate: 0, count: 20, bytes: 512 };
        assert_eq!("fanout 0 20 512\n".parse(), Ok(fanout));
        assert_eq!("rest 100".parse(), Ok(Command::Rest(100)));
    }

    #[test]
    fn refuses_all_else() {
        for line in
            ["", "sockets", "sockets -1", "sockets 1 2", "sockets 1000000", "echo 0 5", "fanout 1 1 1"]
        {
            assert_eq!(line.parse::<Command>(), Err(BadCommand(line.into())));
        }
    }
}
