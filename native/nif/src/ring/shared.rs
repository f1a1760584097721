//! What the schedulers share with the waiter thread of a ring.

use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustler::types::tuple::make_tuple;
use rustler::{Atom, Binary, Encoder, Env, LocalPid, NewBinary, Term};
use shm::Corrupt;
use shm::calls::{Block, CallError, CallsError, Client, MAX_RINGS, Outcome, Reply, Request, Shape};
use shm::protocol::status;

use super::atoms;
use super::notes::Notes;

/// How long a scheduler may be held for a reply: some times what an awake worker needs for a short one.
const SPIN_BUDGET: Duration = Duration::from_micros(20);

/// What the schedulers share with the waiter thread.
pub struct Shared {
    pub client: Client,
    /// Where segments go to the worker.
    pub socket: OnceLock<UnixStream>,
    pub notes: Notes,
    pub owner: LocalPid,
    pub end: OnceLock<End>,
    /// Whether the owner has been told of a corrupt peer.
    reported: AtomicBool,
    /// Threads beyond the rings share the last one.
    surplus: Mutex<()>,
}

/// Why a ring answers no more.
pub enum End {
    Down(Atom),
    Corrupt(Corrupt),
}

/// What a call is to become, and what it holds meanwhile.
pub enum Kind {
    Words,
    Ping(Instant),
    Echo(Block),
}

fn shape() -> Shape {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
    // A ring for each scheduler even if there are twice as many as cores, and for dirty threads.
    let rings = (2 * cores + 16).min(MAX_RINGS);
    Shape { rings, entries: 1024, slots: 1024, blocks: 16, block_bytes: 65_536 }
}

impl Shared {
    pub fn new(owner: LocalPid) -> Result<Self, CallsError> {
        let client = Client::create(shape())?;
        Ok(Shared {
            notes: Notes::new(client.shape().slots),
            client,
            socket: OnceLock::new(),
            owner,
            end: OnceLock::new(),
            reported: AtomicBool::new(false),
            surplus: Mutex::new(()),
        })
    }

    /// Ends the ring, if nothing has before; the waiter does the rest.
    pub fn end(&self, end: End) {
        let _ = self.end.set(end);
        self.client.interrupt();
    }

    pub fn is_corrupt(&self) -> Option<Corrupt> {
        match self.end.get() {
            Some(End::Corrupt(corrupt)) => Some(*corrupt),
            _ => None,
        }
    }

    /// True for the one caller that is to tell the owner of a corrupt peer.
    pub fn is_to_report(&self) -> Option<Corrupt> {
        self.is_corrupt().filter(|_| !self.reported.swap(true, AcqRel))
    }

    /// Calls on the ring of this thread.
    pub fn call(&self, request: &Request) -> Result<Outcome, CallError> {
        let last = self.client.shape().rings - 1;
        match thread_number() {
            ring if ring < last => self.client.call(ring, request, SPIN_BUDGET),
            _ => {
                let _only_one = self.surplus.lock().unwrap_or_else(PoisonError::into_inner);
                self.client.call(last, request, Duration::ZERO)
            }
        }
    }

    /// The term that a reply becomes.
    pub fn result<'a>(&self, env: Env<'a>, kind: &Kind, reply: &Reply) -> Result<Term<'a>, Corrupt> {
        let ok = atoms::ok();
        Ok(match kind {
            Kind::Words => (ok, make_tuple(env, &reply.map(|word| word.encode(env)))).encode(env),
            Kind::Ping(start) => (ok, nanoseconds(start.elapsed())).encode(env),
            Kind::Echo(block) if reply[0] == status::OK => {
                let payload = self.client.payload(block, reply[1])?;
                let mut binary = NewBinary::new(env, payload.len());
                payload.copy_to(binary.as_mut_slice());
                (ok, Binary::from(binary)).encode(env)
            }
            Kind::Echo(_) => (atoms::error(), (atoms::status(), reply[0])).encode(env),
        })
    }

    /// Gives back what a call held.
    pub fn done_with(&self, kind: Kind) {
        if let Kind::Echo(block) = kind {
            self.client.give_back(block);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Threads that ever called, in the order of their first call.
fn thread_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    thread_local!(static NUMBER: u32 = NEXT.fetch_add(1, Relaxed));
    NUMBER.with(|number| *number)
}
