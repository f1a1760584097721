//! What comes over the distribution: memory to be mapped, and questions that are not urgent.
//!
//! | call | answer |
//! |---|---|
//! | `ping` | `pong` |
//! | `self` | the pid of the process that answers, which outlives no restart |
//! | `{echo, Term}` | `Term` |
//! | `stats` | `#{worlds, os_pid, version}` |
//! | `{connect, Path}` | `ok`: connected to the Unix socket over which segments come |
//! | `serve` | `ok`: has taken the call segments that were sent there, and answers requests |
//! | `{open_world, Id, Frequency, Seed, Threads, Ruleset}` | `ok`: has taken the segments of that tag |
//! | `{extend_world, Id}` | `ok`: has taken further segments of that tag |
//! | `{act, Id, Tick, Batch}` | `ok`: takes these actions in when it executes that tick, the next one |
//!
//! `Seed` is a binary of 8 bytes, big-endian; `Ruleset` is its text; `Batch` is that of `hexworld::factory`. A refusal
//! is `{error, Sentence}`.

use std::collections::HashMap;
use std::error::Error;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dist::term::{as_atom, as_binary, as_int, as_tuple, atom, binary, int, map, tuple};
use dist::{Event, Node, Term, program};
use hexworld::factory::BatchError;
use hexworld::{NewWorldError, Ruleset, RulesetError, Segment, World, WorldOptions};
use shm::calls::{self, CallsError};
use shm::handover::{self, HandoverError};
use thiserror::Error;

use crate::service;
use crate::worlds::Worlds;

/// How long segments may take that the BEAM says it has sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a call is refused.
#[derive(Debug, Error)]
enum Refusal {
    #[error("this call is not known here, or its arguments do not fit")]
    Unknown,
    #[error("not connected: call {{connect, Path}} first")]
    NotConnected,
    #[error("connecting: {0}")]
    Connect(std::io::Error),
    #[error("segments: {0}")]
    Handover(#[from] HandoverError),
    #[error("{0}")]
    Calls(#[from] CallsError),
    #[error("segment: {0}")]
    Open(#[from] shm::OpenError),
    #[error("line {}: {}", .0.line, .0.reason)]
    Ruleset(#[from] RulesetError),
    #[error("{0}")]
    World(#[from] NewWorldError),
    #[error("there is no world {0} here")]
    NoWorld(u64),
    #[error("{0}")]
    Batch(#[from] BatchError),
}

struct Control {
    /// The process that answers. Unlike its name it is never taken for its successor.
    pid: Term,
    worlds: Arc<Worlds>,
    socket: Option<UnixStream>,
    /// Segments that came before the call that is about them.
    waiting: HashMap<u64, Vec<(OwnedFd, usize)>>,
}

/// Registers, says that it is ready, and answers until the connection ends.
pub async fn serve(node: Node) -> Result<(), Box<dyn Error>> {
    let mut server = node.register("gp_worker")?;
    let pid = server.pid().clone().into();
    let mut control = Control { pid, worlds: Arc::default(), socket: None, waiting: HashMap::new() };
    program::ready();
    while let Some(event) = server.recv().await {
        let Event::Call(call) = event else { continue };
        let answer = control
            .answer(&call.request)
            .unwrap_or_else(|refusal| tuple([atom("error"), binary(refusal.to_string())]));
        call.caller.reply(answer).await?;
    }
    Ok(())
}

impl Control {
    fn answer(&mut self, request: &Term) -> Result<Term, Refusal> {
        match (as_atom(request), as_tuple(request)) {
            (Some("ping"), _) => Ok(atom("pong")),
            (Some("self"), _) => Ok(self.pid.clone()),
            (Some("stats"), _) => Ok(self.stats()),
            (Some("serve"), _) => self.start(),
            (_, Some([name, term])) if as_atom(name) == Some("echo") => Ok(term.clone()),
            (_, Some([name, path])) if as_atom(name) == Some("connect") => {
                let path = as_binary(path).and_then(|path| std::str::from_utf8(path).ok());
                self.connect(Path::new(path.ok_or(Refusal::Unknown)?))
            }
            (_, Some([name, arguments @ ..])) if as_atom(name) == Some("open_world") => self.open(arguments),
            (_, Some([name, id])) if as_atom(name) == Some("extend_world") => self.extend(id),
            (_, Some([name, id, tick, batch])) if as_atom(name) == Some("act") => self.act(id, tick, batch),
            _ => Err(Refusal::Unknown),
        }
    }

    fn stats(&self) -> Term {
        map([
            (atom("worlds"), int(self.worlds.len() as u64)),
            (atom("os_pid"), int(std::process::id())),
            (atom("version"), binary(env!("CARGO_PKG_VERSION"))),
        ])
    }

    fn connect(&mut self, path: &Path) -> Result<Term, Refusal> {
        let socket = UnixStream::connect(path).map_err(Refusal::Connect)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(Refusal::Connect)?;
        self.socket = Some(socket);
        Ok(atom("ok"))
    }

    /// The segments of this tag, which have been sent already.
    fn take(&mut self, tag: u64) -> Result<Vec<(OwnedFd, usize)>, Refusal> {
        let socket = self.socket.as_ref().ok_or(Refusal::NotConnected)?;
        loop {
            if let Some(segments) = self.waiting.remove(&tag) {
                return Ok(segments);
            }
            let (tag, segments) = handover::receive(socket)?;
            self.waiting.insert(tag, segments);
        }
    }

    fn start(&mut self) -> Result<Term, Refusal> {
        let (taker, completer) = calls::open(self.take(handover::CALLS)?)?;
        let worlds = self.worlds.clone();
        std::thread::Builder::new()
            .name("ring".into())
            .spawn(move || {
                // It only ends when the BEAM wrote what cannot be.
                eprintln!("gp_worker: {}", service::run(taker, completer, worlds));
                std::process::exit(1);
            })
            .map_err(Refusal::Connect)?;
        Ok(atom("ok"))
    }

    fn open(&mut self, arguments: &[Term]) -> Result<Term, Refusal> {
        let [id, frequency, seed, threads, ruleset] = arguments else { return Err(Refusal::Unknown) };
        let number = |term| as_int(term).ok_or(Refusal::Unknown);
        let id = number(id)? as u64;
        let seed = as_binary(seed).and_then(|seed| seed.try_into().ok()).map(u64::from_be_bytes);
        let text = as_binary(ruleset).and_then(|text| std::str::from_utf8(text).ok());
        let (Ok(frequency), Ok(threads), Some(seed), Some(text)) =
            (number(frequency)?.try_into(), number(threads)?.try_into(), seed, text)
        else {
            return Err(Refusal::Unknown);
        };
        let options = WorldOptions { threads, ..WorldOptions::new(frequency, seed, Ruleset::parse(text)?) };
        let segments = self.segments(id)?;
        self.worlds.put(id, World::open(options, segments)?);
        Ok(atom("ok"))
    }

    fn segments(&mut self, id: u64) -> Result<Vec<Segment>, Refusal> {
        self.take(id)?.into_iter().map(|(fd, len)| Ok(Segment::open(fd, len)?)).collect()
    }

    fn world(&self, id: &Term) -> Result<(u64, Arc<World>), Refusal> {
        let id = as_int(id).ok_or(Refusal::Unknown)? as u64;
        Ok((id, self.worlds.get(id).ok_or(Refusal::NoWorld(id))?))
    }

    fn extend(&mut self, id: &Term) -> Result<Term, Refusal> {
        let (id, world) = self.world(id)?;
        for segment in self.segments(id)? {
            world.attach(segment)?;
        }
        Ok(atom("ok"))
    }

    fn act(&self, id: &Term, tick: &Term, batch: &Term) -> Result<Term, Refusal> {
        let (_, world) = self.world(id)?;
        let tick = as_int(tick).and_then(|tick| tick.try_into().ok()).ok_or(Refusal::Unknown)?;
        world.act(tick, as_binary(batch).ok_or(Refusal::Unknown)?)?;
        Ok(atom("ok"))
    }
}
