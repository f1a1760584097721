//! All clients, and the thread that turns them.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;

use super::clock;
use super::protocol::{HEARTBEAT, Incoming};
use super::socket::{Lost, Message, Socket, Stage};

const STDIN: Token = Token(usize::MAX);
/// How often `phoenix.js` sends a heartbeat.
const HEARTBEAT_NS: u64 = 30_000_000_000;
const TURN: Duration = Duration::from_millis(50);
/// Descriptors that are no sockets.
const SPARE: u64 = 64;

/// What ends the load client.
#[derive(Debug, Error)]
pub enum Error {
    /// The benchmark is for servers of this machine.
    #[error("{0} is not an address of this machine's loopback")]
    NotLoopback(SocketAddr),
    /// Polling failed, or standard input cannot be polled.
    #[error("cannot wait for events: {0}")]
    Poll(#[source] std::io::Error),
    /// Standard input failed.
    #[error("cannot read standard input: {0}")]
    Input(#[source] std::io::Error),
    /// Standard output failed.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] std::io::Error),
    /// Who gave the commands is gone.
    #[error("standard input ended in the middle of a command")]
    Gone,
}

/// Clients of one server.
pub struct Load {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) sockets: Vec<Socket>,
    /// How many have joined, and how many were lost, the first of them for this reason.
    pub(super) joined: usize,
    pub(super) lost: usize,
    pub(super) reason: Option<String>,
    /// Sockets that may be open at the same time.
    pub(super) room: usize,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    random: u32,
    beat_at: u64,
    beat_next: usize,
    input: Option<std::fs::File>,
    typed: Vec<u8>,
    eof: bool,
}

impl Load {
    /// Clients of the server at this address of the loopback; none yet.
    pub fn new(address: SocketAddr, path: &str) -> Result<Self, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback(address));
        }
        Ok(Load {
            address,
            path: path.into(),
            sockets: Vec::new(),
            joined: 0,
            lost: 0,
            reason: None,
            room: descriptors(),
            poll: Poll::new().map_err(Error::Poll)?,
            events: Events::with_capacity(1024),
            buffer: vec![0; 65_536],
            random: clock::monotonic() as u32 | 1,
            beat_at: clock::monotonic(),
            beat_next: 0,
            input: None,
            typed: Vec::new(),
            eof: false,
        })
    }

    pub(super) fn listen_to_stdin(&mut self) -> Result<(), Error> {
        let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(Error::Input)?;
        let mut source = SourceFd(&input.as_raw_fd());
        self.poll.registry().register(&mut source, STDIN, Interest::READABLE).map_err(Error::Poll)?;
        self.input = Some(input.into());
        Ok(())
    }

    /// The next line of standard input, none at its end. The sockets are served meanwhile.
    pub(super) fn next_line(&mut self) -> Result<Option<String>, Error> {
        let mut inbox = Vec::new();
        loop {
            if let Some(end) = self.typed.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.typed.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim().into()));
            }
            if self.eof {
                return Ok(None);
            }
            match self.turn(&mut inbox) {
                Err(Error::Gone) => return Ok(None),
                result => result?,
            }
        }
    }

    /// Opens one more socket. It joins in later turns.
    pub(super) fn open(&mut self) {
        let index = self.sockets.len();
        match Socket::open(self.address, &self.path, index, self.poll.registry()) {
            Ok(socket) => self.sockets.push(socket),
            Err(lost) => self.lose(&lost),
        }
    }

    /// Keeps the first `count` sockets: where one is says which events are its own.
    pub(super) fn keep(&mut self, count: usize) {
        self.sockets.truncate(count);
        self.joined = self.sockets.iter().filter(|socket| socket.stage == Stage::Joined).count();
    }

    pub(super) fn send(&mut self, socket: usize, message: &str) {
        let mask = self.mask();
        let socket = &mut self.sockets[socket];
        if socket.stage != Stage::Lost {
            let sent = socket.text(message, mask);
            self.check(true, sent);
        }
    }

    /// Waits for a moment at most, and reads what has come.
    pub(super) fn turn(&mut self, inbox: &mut Vec<Message>) -> Result<(), Error> {
        inbox.clear();
        self.beat();
        match self.poll.poll(&mut self.events, Some(TURN)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(Error::Poll(error)),
        }
        let mask = self.mask();
        let mut typed = false;
        let mut lost = Vec::new();
        let Load { events, sockets, buffer, .. } = self;
        for event in events.iter() {
            let Token(index) = event.token();
            match sockets.get_mut(index) {
                _ if event.token() == STDIN => typed = true,
                Some(socket) if socket.stage != Stage::Lost => {
                    let joined = socket.stage == Stage::Joined;
                    if let Err(reason) = socket.receive(index, buffer, mask, inbox) {
                        lost.push((joined, reason));
                    }
                }
                _ => {}
            }
        }
        self.joined += inbox.iter().filter(|message| message.incoming == Incoming::Joined).count();
        for (joined, reason) in lost {
            self.check(joined, Err(reason));
        }
        if typed { self.read_stdin() } else { Ok(()) }
    }

    fn check(&mut self, joined: bool, result: Result<(), Lost>) {
        if let Err(lost) = result {
            self.joined -= usize::from(joined);
            self.lose(&lost);
        }
    }

    fn lose(&mut self, lost: &Lost) {
        self.lost += 1;
        self.reason.get_or_insert_with(|| lost.to_string());
    }

    /// Spreads the heartbeats of all sockets over their interval.
    fn beat(&mut self) {
        let now = clock::monotonic();
        if self.sockets.is_empty() {
            self.beat_at = now;
            return;
        }
        let step = HEARTBEAT_NS / self.sockets.len() as u64;
        while self.beat_at + step <= now {
            self.beat_at += step;
            self.beat_next = (self.beat_next + 1) % self.sockets.len();
            if self.sockets[self.beat_next].stage == Stage::Joined {
                self.send(self.beat_next, HEARTBEAT);
            }
        }
    }

    fn read_stdin(&mut self) -> Result<(), Error> {
        let Some(input) = &mut self.input else { return Ok(()) };
        let mut bytes = [0; 4096];
        let length = input.read(&mut bytes).map_err(Error::Input)?;
        self.typed.extend_from_slice(&bytes[..length]);
        self.eof = length == 0;
        if self.eof { Err(Error::Gone) } else { Ok(()) }
    }

    /// A mask as good as the protocol asks for between programs of one machine: xorshift.
    fn mask(&mut self) -> [u8; 4] {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random.to_le_bytes()
    }
}

/// Raises the limit of open files as far as it goes, and says how many sockets that leaves.
fn descriptors() -> usize {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    // Where the hard limit is none, the kernel has one.
    let wanted = hard.min(1 << 20);
    let raised = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    raised.map_or(soft, |()| wanted).saturating_sub(SPARE) as usize
}
