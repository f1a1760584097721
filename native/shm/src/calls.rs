//! A call segment: submission rings, reply slots and a completion ring in one piece of memory.
//!
//! | offset | what |
//! |---|---|
//! | 0 | header |
//! | 64 | number of rings, entries of a ring, number of slots (u32 each) |
//! | 128, 192 | the service's and the waiter's bell |
//! | 256 | the submission rings, then the completion ring: head, tail (a cache line each), entries (u64) |
//! | then | the slots: state and request in one cache line, reply in another |
//!
//! A request has a slot of its own for its whole life. Its words are published by the push into the ring, the
//! reply's by the slot's state.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;

use crate::bell::{Bell, Rung};
use crate::header::{self, HEADER_BYTES, HeaderError, Kind};
use crate::ring::{PushError, Ring};
use crate::slot::{Completion, Generation, Poll, Slot};
use crate::{Corrupt, CreateError, Futex, OutOfBounds, Segment};

/// Words of a request.
pub const REQUEST_WORDS: usize = 7;
/// Words of a reply.
pub const REPLY_WORDS: usize = 8;
/// What is asked.
pub type Request = [u64; REQUEST_WORDS];
/// What is answered.
pub type Reply = [u64; REPLY_WORDS];

const LINE: usize = 64;
const SHAPE_AT: usize = HEADER_BYTES;
const SERVICE_BELL_AT: usize = 2 * LINE;
const WAITER_BELL_AT: usize = 3 * LINE;
const RINGS_AT: usize = 4 * LINE;
const SLOT_BYTES: usize = 2 * LINE;
const MAX_RINGS: u32 = 1024;
const MAX_SLOTS: u32 = 1 << 16;

/// How many of what a call segment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Submission rings, one for each thread that calls: 1…1024.
    pub rings: u32,
    /// Entries of a submission ring, a power of two.
    pub entries: u32,
    /// Slots, so many calls may be under way: 1…65536.
    pub slots: u32,
}

/// Why a call segment cannot be used.
#[derive(Debug, Error)]
pub enum CallsError {
    /// Its header is not that of a call segment.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Its numbers cannot be.
    #[error("a call segment cannot have {0:?}")]
    Shape(Shape),
    /// It is too short for its shape.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// It cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
}

/// Why a call was not submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// All slots are in use, or the ring is full: nobody answers fast enough.
    #[error("too many calls are under way")]
    Busy,
    /// The other side is broken.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

impl Shape {
    fn check(self) -> Result<Self, CallsError> {
        let Shape { rings, entries, slots } = self;
        let fits = (1..=MAX_RINGS).contains(&rings)
            && entries.is_power_of_two()
            && entries <= MAX_SLOTS
            && (1..=MAX_SLOTS).contains(&slots);
        if fits { Ok(self) } else { Err(CallsError::Shape(self)) }
    }

    fn ring_bytes(entries: u32) -> usize {
        2 * LINE + (entries as usize * size_of::<u64>()).next_multiple_of(LINE)
    }

    /// Entries of the completion ring: every slot fits.
    fn completions(self) -> u32 {
        self.slots.next_power_of_two()
    }

    fn ring_at(self, n: u32) -> usize {
        RINGS_AT + n as usize * Self::ring_bytes(self.entries)
    }

    fn slots_at(self) -> usize {
        self.ring_at(self.rings) + Self::ring_bytes(self.completions())
    }

    /// Bytes of a segment of this shape.
    pub fn bytes(self) -> usize {
        self.slots_at() + self.slots as usize * SLOT_BYTES
    }
}

type SharedRing<'a> = Ring<'a, AtomicU32, AtomicU64>;
type SharedBell<'a> = Bell<'a, AtomicU32, Futex>;

/// The memory of a call segment with its shape, copied out and checked once.
#[derive(Debug)]
pub struct Calls {
    segment: Segment,
    shape: Shape,
}

impl Calls {
    /// Makes a call segment.
    pub fn create(shape: Shape) -> Result<Self, CallsError> {
        let shape = shape.check()?;
        let segment = Segment::create(c"game_platform_calls", shape.bytes())?;
        let words = segment.words32(SHAPE_AT, 3)?;
        for (word, value) in words.iter().zip([shape.rings, shape.entries, shape.slots]) {
            word.store(value, Relaxed);
        }
        header::publish(&segment, Kind::Calls)?;
        Ok(Calls { segment, shape })
    }

    /// Takes a segment that another process made.
    pub fn open(segment: Segment) -> Result<Self, CallsError> {
        header::check(&segment, Kind::Calls)?;
        let words = segment.words32(SHAPE_AT, 3)?;
        let [rings, entries, slots] = [0, 1, 2].map(|n: usize| words[n].load(Relaxed));
        let shape = Shape { rings, entries, slots }.check()?;
        segment.words64(0, shape.bytes() / size_of::<u64>())?;
        Ok(Calls { segment, shape })
    }

    /// The memory, to be handed over.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// How many of what it has.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    fn words32(&self, at: usize, count: usize) -> &[AtomicU32] {
        self.segment.words32(at, count).expect("the shape was checked against the segment")
    }

    fn words64(&self, at: usize, count: usize) -> &[AtomicU64] {
        self.segment.words64(at, count).expect("the shape was checked against the segment")
    }

    fn ring_of(&self, at: usize, entries: u32) -> SharedRing<'_> {
        let (head, tail) = (&self.words32(at, 1)[0], &self.words32(at + LINE, 1)[0]);
        Ring::new(head, tail, self.words64(at + 2 * LINE, entries as usize))
    }

    fn submissions(&self, n: u32) -> SharedRing<'_> {
        self.ring_of(self.shape.ring_at(n), self.shape.entries)
    }

    fn completions(&self) -> SharedRing<'_> {
        self.ring_of(self.shape.ring_at(self.shape.rings), self.shape.completions())
    }

    fn bell(&self, at: usize) -> SharedBell<'_> {
        Bell::new(&self.words32(at, 1)[0], &Futex)
    }

    fn slot_at(&self, slot: u32) -> usize {
        self.shape.slots_at() + slot as usize * SLOT_BYTES
    }

    fn slot(&self, slot: u32) -> Slot<'_, AtomicU32> {
        Slot::new(&self.words32(self.slot_at(slot), 1)[0])
    }

    fn request(&self, slot: u32) -> &[AtomicU64] {
        self.words64(self.slot_at(slot) + size_of::<u64>(), REQUEST_WORDS)
    }

    fn reply(&self, slot: u32) -> &[AtomicU64] {
        self.words64(self.slot_at(slot) + LINE, REPLY_WORDS)
    }

    /// A slot's number that the other side wrote.
    fn checked(&self, what: &'static str, found: u64) -> Result<u32, Corrupt> {
        u32::try_from(found).ok().filter(|&slot| slot < self.shape.slots).ok_or(Corrupt { what, found })
    }
}

/// The calling side.
#[derive(Debug)]
pub struct Client {
    calls: Calls,
    free: Mutex<Vec<u32>>,
    /// Per slot, whether the waiter is to get its reply. Private, so that a broken service cannot complete
    /// what nobody waits for.
    parked: Box<[AtomicBool]>,
}

/// A call under way. It must be [polled](Client::poll) until done or [parked](Client::park).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Ticket {
    slot: u32,
    generation: Generation,
    /// Whether the service had to be woken: then spinning for the reply is no use.
    pub rung: Rung,
}

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Done(Reply),
    /// Not yet: the ticket comes back.
    Pending(Ticket),
}

/// What became of an attempt to park a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Parked {
    /// The reply had come meanwhile.
    Done(Reply),
    /// The waiter will get the reply, under this slot's number.
    Waiting(u32),
}

impl Client {
    /// Calls through `calls`, of which it must be the only client.
    pub fn new(calls: Calls) -> Self {
        let free = Mutex::new((0..calls.shape.slots).rev().collect());
        let parked = (0..calls.shape.slots).map(|_| AtomicBool::new(false)).collect();
        Client { calls, free, parked }
    }

    /// The memory.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Submits a request through `ring`, which only one thread may use at a time.
    pub fn submit(&self, ring: u32, request: &Request) -> Result<Ticket, SubmitError> {
        assert!(ring < self.calls.shape.rings, "ring {ring}");
        let slot = self.free().pop().ok_or(SubmitError::Busy)?;
        let state = self.calls.slot(slot);
        // A slot that is not free although the client gave it back was written by the other side.
        let generation = state.submit().ok_or(Corrupt { what: "slot state", found: u64::from(slot) })?;
        for (word, value) in self.calls.request(slot).iter().zip(request) {
            word.store(*value, Relaxed);
        }
        match self.calls.submissions(ring).push(u64::from(slot)) {
            Ok(()) => {}
            Err(error) => {
                self.release(slot);
                return Err(match error {
                    PushError::Full(_) => SubmitError::Busy,
                    PushError::Corrupt(corrupt) => corrupt.into(),
                });
            }
        }
        let rung = self.calls.bell(SERVICE_BELL_AT).ring();
        Ok(Ticket { slot, generation, rung })
    }

    /// Looks for the reply; on `Done` the slot is free again.
    pub fn poll(&self, ticket: Ticket) -> Result<Outcome, Corrupt> {
        match self.calls.slot(ticket.slot).poll(ticket.generation)? {
            Poll::Done => Ok(Outcome::Done(self.take(ticket.slot))),
            Poll::Pending => Ok(Outcome::Pending(ticket)),
        }
    }

    /// Leaves the reply to the waiter. Whatever the waiter needs to know must have been noted before.
    pub fn park(&self, ticket: Ticket) -> Result<Parked, Corrupt> {
        // Before the slot says so: the waiter may see the reply at once. Its Release is that of `park`.
        self.parked[ticket.slot as usize].store(true, Relaxed);
        match self.calls.slot(ticket.slot).park(ticket.generation)? {
            Poll::Done => {
                self.parked[ticket.slot as usize].store(false, Relaxed);
                Ok(Parked::Done(self.take(ticket.slot)))
            }
            Poll::Pending => Ok(Parked::Waiting(ticket.slot)),
        }
    }

    /// The slot that a ticket stands for, to note things under before parking.
    pub fn slot_of(&self, ticket: &Ticket) -> u32 {
        ticket.slot
    }

    /// The next reply to a parked call, with its slot's number. Only the waiter thread calls this.
    pub fn next_completion(&self) -> Result<Option<(u32, Reply)>, Corrupt> {
        let Some(found) = self.calls.completions().pop()? else { return Ok(None) };
        let slot = self.calls.checked("completed slot", found)?;
        if !self.calls.slot(slot).is_done() || !self.parked[slot as usize].swap(false, Relaxed) {
            return Err(Corrupt { what: "completed slot", found });
        }
        Ok(Some((slot, self.take(slot))))
    }

    /// Sleeps until there may be a completion. Only the waiter thread calls this.
    pub fn wait(&self, timeout: Option<Duration>) {
        self.calls.bell(WAITER_BELL_AT).sleep(timeout, || self.calls.completions().has_some());
    }

    /// Ends a [`Client::wait`] of another thread early.
    pub fn interrupt(&self) {
        self.calls.bell(WAITER_BELL_AT).ring();
    }

    fn take(&self, slot: u32) -> Reply {
        let words = self.calls.reply(slot);
        let reply = std::array::from_fn(|n| words[n].load(Relaxed));
        self.release(slot);
        reply
    }

    fn release(&self, slot: u32) {
        self.calls.slot(slot).release();
        self.free().push(slot);
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answering side; one thread.
#[derive(Debug)]
pub struct Service {
    calls: Calls,
    /// The ring to look at first, so that none is starved.
    first: u32,
}

/// A request taken by the service.
#[derive(Debug)]
#[must_use]
pub struct Job {
    slot: u32,
    generation: Generation,
    /// What is asked.
    pub request: Request,
}

impl Service {
    /// Serves `calls`, of which it must be the only service.
    pub fn new(calls: Calls) -> Self {
        Service { calls, first: 0 }
    }

    /// The next request of any ring, each ring in turn.
    pub fn take(&mut self) -> Result<Option<Job>, Corrupt> {
        let rings = self.calls.shape.rings;
        for n in 0..rings {
            let ring = (self.first + n) % rings;
            if let Some(found) = self.calls.submissions(ring).pop()? {
                self.first = (ring + 1) % rings;
                let slot = self.calls.checked("submitted slot", found)?;
                let words = self.calls.request(slot);
                return Ok(Some(Job {
                    slot,
                    generation: self.calls.slot(slot).generation(),
                    request: std::array::from_fn(|n| words[n].load(Relaxed)),
                }));
            }
        }
        Ok(None)
    }

    /// Answers a request.
    pub fn complete(&self, job: Job, reply: &Reply) -> Result<Completion, Corrupt> {
        for (word, value) in self.calls.reply(job.slot).iter().zip(reply) {
            word.store(*value, Relaxed);
        }
        let completion = self.calls.slot(job.slot).complete(job.generation);
        if completion == Completion::Parked {
            match self.calls.completions().push(u64::from(job.slot)) {
                Ok(()) => {}
                Err(PushError::Corrupt(corrupt)) => return Err(corrupt),
                // It has an entry for every slot.
                Err(PushError::Full(found)) => {
                    return Err(Corrupt { what: "completion ring, full at", found });
                }
            }
            self.calls.bell(WAITER_BELL_AT).ring();
        }
        Ok(completion)
    }

    /// Sleeps until there may be a request, at most `timeout`.
    pub fn wait(&self, timeout: Option<Duration>) {
        let some = || (0..self.calls.shape.rings).any(|ring| self.calls.submissions(ring).has_some());
        self.calls.bell(SERVICE_BELL_AT).sleep(timeout, some);
    }
}
