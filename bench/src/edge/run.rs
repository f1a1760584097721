//! The commands.

use std::time::Duration;

use super::clock;
use super::command::Command;
use super::load::{Error, Load};
use super::protocol::{self, Incoming};
use super::report::Report;
use super::socket::{Message, Stage};

/// Broadcasts are read so often. A client that slept until the next one would be woken by each write of the server,
/// which would pay for that: more than for the write, and nothing that clients on other machines cost it.
const NAP: Duration = Duration::from_micros(500);
/// Messages of one turn; if there were more, the next are read at once.
const CALM: usize = 256;

/// Handshakes under way at the same time.
const WINDOW: usize = 64;
/// A server that does nothing for so long is given up.
const QUIET_NS: u64 = 10_000_000_000;
/// No command takes longer.
const LONGEST_NS: u64 = 300_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// How long something may take, and go without progress.
struct Patience {
    end: u64,
    quiet: u64,
    heard: u64,
}

impl Patience {
    fn new(quiet: u64) -> Self {
        let now = clock::monotonic();
        Patience { end: now + LONGEST_NS, quiet, heard: now }
    }

    /// False when it is over.
    fn lasts(&mut self, progress: bool) -> bool {
        let now = clock::monotonic();
        if progress {
            self.heard = now;
        }
        now < self.end && now < self.heard + self.quiet
    }
}

impl Load {
    /// Does what the command says. What the server refuses is told in the report.
    pub fn run(&mut self, command: Command) -> Result<Report, Error> {
        let cpu = clock::cpu();
        let report = match command {
            Command::Sockets(count) => self.open_or_close(count)?,
            Command::Echo { clients, count } => self.echo(clients, count)?,
            Command::Fanout { rate, count, bytes } => self.fanout(rate, count, bytes)?,
            Command::Rest(ms) => self.rest(ms)?,
        };
        let error = report.error.or_else(|| {
            self.reason
                .as_ref()
                .map(|reason| format!("{} sockets were lost, the first because {reason}", self.lost))
        });
        Ok(Report {
            sockets: self.joined,
            lost: self.lost,
            cpu_us: (clock::cpu() - cpu) as f64 / 1e3,
            error,
            ..report
        })
    }

    fn open_or_close(&mut self, count: usize) -> Result<Report, Error> {
        if count > self.room {
            return Ok(failed(format!("{count} sockets need a higher limit of open files (ulimit -n)")));
        }
        self.keep(count);
        let start = clock::monotonic();
        let mut patience = Patience::new(QUIET_NS);
        let mut inbox = Vec::new();
        while self.joined < count && self.lost == 0 {
            while self.sockets.len() < count.min(self.joined + WINDOW) && self.lost == 0 {
                self.open();
            }
            let before = self.joined;
            self.turn(&mut inbox)?;
            if !patience.lasts(self.joined > before) {
                return Ok(failed(format!("only {} of {count} sockets have joined", self.joined)));
            }
        }
        Ok(Report { seconds: Some(seconds(start, clock::monotonic())), ..Report::default() })
    }

    fn echo(&mut self, clients: usize, count: usize) -> Result<Report, Error> {
        if self.sockets.iter().take(clients).filter(|socket| socket.stage == Stage::Joined).count() < clients
        {
            return Ok(failed(format!("{clients} clients, but {} have joined", self.joined)));
        }
        let start = clock::monotonic();
        let mut last = start;
        let mut patience = Patience::new(QUIET_NS);
        let mut times = Vec::with_capacity(count);
        let mut inbox = Vec::new();
        for socket in 0..clients.min(count) {
            self.ask(socket);
        }
        let mut asked = clients.min(count);
        while times.len() < count {
            self.turn(&mut inbox)?;
            for Message { socket, at, incoming } in &inbox {
                let Incoming::Reply(reference, ok) = incoming else { continue };
                if !ok {
                    return Ok(failed("the server answered with an error".into()));
                }
                if *reference == self.sockets[*socket].reference {
                    times.push(at - self.sockets[*socket].sent_at);
                    last = *at;
                    if asked < count {
                        asked += 1;
                        self.ask(*socket);
                    }
                }
            }
            if !patience.lasts(!inbox.is_empty()) {
                return Ok(failed(format!("only {} of {count} events were answered", times.len())));
            }
        }
        Ok(Report { seconds: Some(seconds(start, last)), ..Report::default() }.with_latencies(times))
    }

    fn ask(&mut self, socket: usize) {
        let reference = self.reference(socket);
        self.sockets[socket].sent_at = clock::monotonic();
        self.send(socket, &protocol::echo(reference));
    }

    fn reference(&mut self, socket: usize) -> u32 {
        self.sockets[socket].reference += 1;
        self.sockets[socket].reference
    }

    fn fanout(&mut self, rate: u64, count: usize, bytes: usize) -> Result<Report, Error> {
        let Some(wanted) = count.checked_mul(self.joined).filter(|wanted| Command::within(*wanted)) else {
            return Ok(failed("too many deliveries".into()));
        };
        if self.sockets.first().is_none_or(|socket| socket.stage != Stage::Joined) {
            return Ok(failed("nobody has joined".into()));
        }
        let reference = self.reference(0);
        self.send(0, &protocol::start(reference, rate, count, bytes));
        let pause = SECOND_NS.checked_div(rate).unwrap_or(0);
        let mut patience = Patience::new(QUIET_NS + 2 * pause);
        let (mut first, mut last) = (u64::MAX, 0);
        let mut times = Vec::with_capacity(wanted);
        let mut inbox = Vec::new();
        while times.len() < wanted {
            if rate > 0 && inbox.len() < CALM {
                std::thread::sleep(NAP);
            }
            self.turn(&mut inbox)?;
            for Message { at, incoming, .. } in &inbox {
                match incoming {
                    Incoming::Broadcast(sent) => {
                        let Some(time) = at.checked_sub(*sent) else {
                            return Ok(failed("the server's clock is another one".into()));
                        };
                        times.push(time);
                        first = first.min(*sent);
                        last = last.max(*at);
                    }
                    Incoming::Reply(of, false) if *of == reference => {
                        return Ok(failed("the server refused to broadcast".into()));
                    }
                    _ => {}
                }
            }
            if !patience.lasts(!inbox.is_empty()) {
                return Ok(failed(format!("only {} of {wanted} deliveries came", times.len())));
            }
        }
        Ok(Report { seconds: Some(seconds(first, last)), ..Report::default() }.with_latencies(times))
    }

    fn rest(&mut self, ms: u64) -> Result<Report, Error> {
        let start = clock::monotonic();
        let mut inbox = Vec::new();
        while clock::monotonic() < start + ms * 1_000_000 {
            self.turn(&mut inbox)?;
        }
        Ok(Report { seconds: Some(seconds(start, clock::monotonic())), ..Report::default() })
    }
}

fn failed(error: String) -> Report {
    Report { error: Some(error), ..Report::default() }
}

fn seconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e9
}
