//! `ring_*`: calls to another process through shared memory.
//!
//! A call is answered at once if the reply comes while the scheduler may spin for it. Otherwise it is
//! `:pending`, and the waiter thread sends `{ref, result}` later.

mod notes;
mod shared;
mod waiter;

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustler::types::reference::Reference;
use rustler::{Atom, Binary, Encoder, Env, LocalPid, Monitor, NifResult, Resource, ResourceArc, Term};
use shm::calls::{CallError, Outcome, Parked, Request};
use shm::handover::{self, HandoverError};
use shm::protocol::op;
use shm::{Doorbell, clock};

use notes::Note;
use shared::{End, Kind, Shared};

mod atoms {
    rustler::atoms! {
        ok,
        error,
        busy,
        pending,
        worker_down,
        corrupt_peer,
        ring_corrupt,
        no_shared_memory,
        handover_failed,
        status,
        doorbell,
        futex,
        in_flight,
        slots,
        submitted,
        hits,
        parks,
        wakes,
        beat,
        progress,
        taken,
        sleeps,
        spins_won,
    }
}

/// Microseconds in a hundredth of a scheduler's time slice.
const PERCENT_US: u128 = 10;

/// Words of a request after its operation.
const MAX_WORDS: usize = shm::calls::REQUEST_WORDS - 1;

/// A call segment, its client and its waiter thread. It ends when it is aborted, when its owner ends, when
/// the peer turns out to be corrupt, or when nobody has it any more.
pub struct Ring(Arc<Shared>);

#[rustler::resource_impl]
impl Resource for Ring {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _: Env<'a>, _: LocalPid, _: Monitor) {
        self.0.end(End::Down(atoms::worker_down()));
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The waiter sees it and ends; nobody waits for that here.
        self.0.end(End::Down(atoms::worker_down()));
    }
}

fn error(env: Env, reason: impl Encoder) -> Term {
    (atoms::error(), reason).encode(env)
}

/// Why a ring refuses; the first to see a corrupt peer tells the owner.
fn refused<'a>(env: Env<'a>, ring: &ResourceArc<Ring>) -> Term<'a> {
    report(env, ring);
    match ring.0.is_corrupt() {
        Some(_) => error(env, atoms::corrupt_peer()),
        None => error(env, atoms::worker_down()),
    }
}

fn report(env: Env, ring: &ResourceArc<Ring>) {
    if let Some(corrupt) = ring.0.is_to_report() {
        // An owner that has ended needs no message.
        let _ = env.send(&ring.0.owner, (atoms::ring_corrupt(), ring.clone(), corrupt.to_string()));
    }
}

fn failed<'a>(env: Env<'a>, ring: &ResourceArc<Ring>, fault: CallError) -> Term<'a> {
    match fault {
        CallError::Busy => return error(env, atoms::busy()),
        CallError::Down => {}
        CallError::Corrupt(corrupt) => ring.0.end(End::Corrupt(corrupt)),
    }
    refused(env, ring)
}

fn call<'a>(
    env: Env<'a>,
    ring: &ResourceArc<Ring>,
    reference: Reference<'a>,
    request: &Request,
    kind: Kind,
) -> Term<'a> {
    let start = Instant::now();
    let (result, kind) = call_or_park(env, ring, reference, request, kind);
    if let Some(kind) = kind {
        ring.0.done_with(kind);
    }
    let percent = start.elapsed().as_micros() / PERCENT_US;
    if percent > 0 {
        rustler::schedule::consume_timeslice(env, percent.min(100) as i32);
    }
    result
}

/// The result, and the kind again unless the waiter has it now.
fn call_or_park<'a>(
    env: Env<'a>,
    ring: &ResourceArc<Ring>,
    reference: Reference<'a>,
    request: &Request,
    kind: Kind,
) -> (Term<'a>, Option<Kind>) {
    let shared = &ring.0;
    if shared.end.get().is_some() {
        return (refused(env, ring), Some(kind));
    }
    let (parked, kind) = match shared.call(request) {
        Ok(Outcome::Done(reply)) => (Ok(Parked::Done(reply)), kind),
        Err(fault) => (Err(fault), kind),
        Ok(Outcome::Pending(ticket)) => {
            let note = Note::new(env.pid(), reference, kind, ring.clone());
            match shared.notes.park(&shared.client, ticket, note) {
                (parked, Some(kind)) => (parked, kind),
                (_, None) => return (atoms::pending().encode(env), None),
            }
        }
    };
    let result = match parked {
        Ok(Parked::Done(reply)) => {
            shared.result(env, &kind, &reply).unwrap_or_else(|fault| failed(env, ring, fault.into()))
        }
        Ok(Parked::Waiting(_)) => atoms::pending().encode(env),
        Err(fault) => failed(env, ring, fault),
    };
    (result, Some(kind))
}

/// Makes a ring whose owner hears of a corrupt peer, and which ends with its owner: `{:ok, ring}` or
/// `{:error, {:no_shared_memory, text}}`.
#[rustler::nif(schedule = "DirtyIo")]
fn ring_new(env: Env, owner: LocalPid) -> Term {
    let refused = |text: String| error(env, (atoms::no_shared_memory(), text));
    let shared = match Shared::new(owner) {
        Ok(shared) => Arc::new(shared),
        Err(fault) => return refused(fault.to_string()),
    };
    if let Err(fault) = waiter::start(shared.clone()) {
        return refused(format!("no thread: {fault}"));
    }
    let ring = ResourceArc::new(Ring(shared));
    if env.monitor(&ring, &owner).is_none() {
        ring.0.end(End::Down(atoms::worker_down()));
    }
    (atoms::ok(), ring).encode(env)
}

impl Ring {
    /// Sends segments to the worker.
    pub fn hand_over(&self, tag: u64, segments: &[(BorrowedFd<'_>, usize)]) -> Result<(), HandoverError> {
        handover::send(self.0.socket.get().ok_or(HandoverError::Closed)?, tag, segments)
    }
}

/// `:ok`, `{:error, :worker_down}` if it has closed its socket, or `{:error, {:handover_failed, text}}`.
pub fn handed_over(env: Env, sent: Result<(), HandoverError>) -> Term {
    match sent {
        Ok(()) => atoms::ok().encode(env),
        Err(fault) if fault.is_gone() => error(env, atoms::worker_down()),
        Err(fault) => error(env, (atoms::handover_failed(), fault.to_string())),
    }
}

/// Sends both segments through a connected Unix socket of the BEAM's, and keeps a copy of it for the segments
/// of worlds. As [`handed_over`].
#[rustler::nif(schedule = "DirtyIo")]
fn ring_handover(env: Env, ring: ResourceArc<Ring>, fd: i32) -> Term {
    let sent = handover::duplicate(fd).and_then(|socket| {
        let socket = ring.0.socket.get_or_init(|| socket);
        handover::send(socket, handover::CALLS, &ring.0.client.segments())
    });
    handed_over(env, sent)
}

/// Asks for an operation with at most six words, to be answered within so many nanoseconds or any time if
/// 0: `{:ok, {w0, …, w7}}`, `:pending`, or `{:error, :busy | :worker_down | :corrupt_peer}`.
#[rustler::nif]
fn ring_call<'a>(
    env: Env<'a>,
    ring: ResourceArc<Ring>,
    reference: Reference<'a>,
    operation: u64,
    words: Vec<u64>,
    within_ns: u64,
) -> NifResult<Term<'a>> {
    if words.len() > MAX_WORDS {
        return Err(rustler::Error::BadArg);
    }
    let deadline = if within_ns == 0 { 0 } else { clock::deadline(Duration::from_nanos(within_ns)) };
    let request = Request { deadline, ..request(operation, &words) };
    Ok(call(env, &ring, reference, &request, Kind::Words))
}

fn request(operation: u64, words: &[u64]) -> Request {
    let mut request = Request::default();
    request.words[0] = operation;
    request.words[1..=words.len()].copy_from_slice(words);
    request
}

/// How long a call takes that does nothing: `{:ok, nanoseconds}`, or as `ring_call`.
#[rustler::nif]
fn ring_ping<'a>(env: Env<'a>, ring: ResourceArc<Ring>, reference: Reference<'a>) -> Term<'a> {
    call(env, &ring, reference, &request(op::PING, &[]), Kind::Ping(Instant::now()))
}

/// Sends at most 65,536 bytes there and back: `{:ok, binary}`, or as `ring_call`.
#[rustler::nif]
fn ring_echo<'a>(
    env: Env<'a>,
    ring: ResourceArc<Ring>,
    reference: Reference<'a>,
    data: Binary<'a>,
) -> NifResult<Term<'a>> {
    let client = &ring.0.client;
    if data.len() > client.shape().block_bytes as usize {
        return Err(rustler::Error::BadArg);
    }
    let Some(block) = client.block() else { return Ok(error(env, atoms::busy())) };
    if !client.write_payload(&block, &data) {
        client.give_back(block);
        return Err(rustler::Error::BadArg);
    }
    let request = request(op::ECHO, &[block.number(), data.len() as u64]);
    Ok(call(env, &ring, reference, &request, Kind::Echo(block)))
}

/// The caller wants the reply no more: no message is sent after this returns.
#[rustler::nif]
fn ring_cancel<'a>(ring: ResourceArc<Ring>, reference: Reference<'a>) -> Atom {
    ring.0.notes.cancel(reference);
    atoms::ok()
}

/// The worker is dead: who waits gets `{ref, {:error, reason}}`, who calls later `{:error, :worker_down}`.
#[rustler::nif]
fn ring_abort(ring: ResourceArc<Ring>, reason: Atom) -> Atom {
    ring.0.end(End::Down(reason));
    atoms::ok()
}

/// Calls under way, the worker's beat, and its progress.
#[rustler::nif]
fn ring_progress(env: Env, ring: ResourceArc<Ring>) -> (u64, u64, u64) {
    report(env, &ring);
    let counts = ring.0.client.service_counts();
    (ring.0.client.in_flight() as u64, counts.beat, counts.progress)
}

/// What both sides have counted.
#[rustler::nif]
fn ring_info(env: Env, ring: ResourceArc<Ring>) -> NifResult<Term> {
    report(env, &ring);
    let client = &ring.0.client;
    let (ours, theirs) = (client.counts(), client.service_counts());
    let doorbell = match Doorbell::default() {
        Doorbell::Futex => atoms::futex(),
    };
    let numbers = [
        (atoms::in_flight(), client.in_flight() as u64),
        (atoms::slots(), client.shape().slots.into()),
        (atoms::submitted(), ours.submitted),
        (atoms::hits(), ours.hits),
        (atoms::parks(), ours.parks),
        (atoms::wakes(), ours.wakes),
        (atoms::busy(), ours.busy),
        (atoms::beat(), theirs.beat),
        (atoms::progress(), theirs.progress),
        (atoms::taken(), theirs.taken),
        (atoms::sleeps(), theirs.sleeps),
        (atoms::spins_won(), theirs.spins_won),
    ];
    let info = Term::map_from_pairs(env, &numbers)?;
    info.map_put(atoms::doorbell(), doorbell)
}
