//! The calling side.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::layout::{self, Replies, Requests, Shape};
use super::tokens::{Block, ClientCounts, Outcome, Owed, Parked, Ticket};
use super::{CallError, CallsError, Reply, Request, ServiceCounts};
use crate::bell::Rung;
use crate::bulk::{self, Payload};
use crate::claim::Claim;
use crate::header::{self, Kind};
use crate::ring::{PushError, Ring};
use crate::slot::Poll;
use crate::sync::Load32;
use crate::{Corrupt, Futex, Segment};

/// Looks at a slot between two looks at the clock.
const POLLS: u32 = 32;

/// The calling side. Whatever it relies on is in its own memory.
#[derive(Debug)]
pub struct Client {
    requests: Requests<Segment>,
    replies: Replies,
    shape: Shape,
    free: Mutex<Vec<u32>>,
    blocks: Mutex<Vec<u32>>,
    /// Per slot, whether somebody other than the caller may have its reply.
    parked: Box<[AtomicU32]>,
    down: AtomicU32,
    /// Whether a caller spins: one is enough for a service of one thread.
    spinning: AtomicBool,
    may_spin: bool,
    submitted: AtomicU64,
    hits: AtomicU64,
    parks: AtomicU64,
    wakes: AtomicU64,
    busy: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// Makes the two segments of a shape.
    pub fn create(shape: Shape) -> Result<Self, CallsError> {
        let shape = shape.check()?;
        let requests = Segment::create_for_reader(c"game_platform_requests", shape.request_bytes())?;
        let replies = Segment::create(c"game_platform_replies", shape.reply_bytes())?;
        shape.write(&requests)?;
        header::publish(&requests, Kind::Requests)?;
        header::publish(&replies, Kind::Calls)?;
        Ok(Client {
            requests: Requests::new(requests, shape)?,
            replies: Replies::new(replies, shape)?,
            shape,
            free: Mutex::new((0..shape.slots).rev().collect()),
            blocks: Mutex::new((0..shape.blocks).rev().collect()),
            parked: (0..shape.slots).map(|_| AtomicU32::new(0)).collect(),
            down: AtomicU32::new(0),
            spinning: AtomicBool::new(false),
            may_spin: super::service::core_to_spare(),
            submitted: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            parks: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            busy: AtomicU64::new(0),
        })
    }

    /// The two segments, to be handed over in this order.
    pub fn segments(&self) -> [(BorrowedFd<'_>, usize); 2] {
        [&self.requests.memory, &self.replies.memory]
            .map(|segment| (segment.fd().expect("both were made to be shared"), segment.len()))
    }

    /// How many of what it has.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Submits a request through `ring`, which only one thread may use at a time.
    pub fn submit(&self, ring: u32, request: &Request) -> Result<Ticket, CallError> {
        assert!(ring < self.shape.rings, "ring {ring}");
        if self.is_down() {
            return Err(CallError::Down);
        }
        let Some(slot) = lock(&self.free).pop() else { return Err(self.refuse()) };
        let Some(generation) = self.replies.slot(slot).submit() else {
            lock(&self.free).push(slot);
            // The client gave it back, so the other side wrote it.
            return Err(Corrupt { what: "the state of free slot", found: u64::from(slot) }.into());
        };
        let values = std::iter::once(&request.deadline).chain(&request.words);
        self.requests.request(slot).iter().zip(values).for_each(|(word, value)| word.store(*value, Relaxed));
        // The service looks at the rings in use only; as the tail, this is seen by whoever the bell wakes.
        if self.requests.rings_in_use().load(Relaxed) <= ring {
            self.requests.rings_in_use().fetch_max(ring + 1, Relaxed);
        }
        let queue = Ring::new(self.replies.head(ring), self.requests.tail(ring), self.requests.entries(ring));
        if let Err(error) = queue.push(u64::from(slot)) {
            self.free_slot(slot);
            return Err(match error {
                PushError::Full(_) => self.refuse(),
                PushError::Corrupt(corrupt) => corrupt.into(),
            });
        }
        self.submitted.fetch_add(1, Relaxed);
        let rung = self.replies.service_bell().ring();
        if rung == Rung::Woken {
            self.wakes.fetch_add(1, Relaxed);
        }
        Ok(Ticket { slot, generation, rung })
    }

    /// Submits a request, and spins for the reply at most `budget` if that has a prospect: a core is to
    /// spare, the service is awake, and no other caller spins.
    pub fn call(&self, ring: u32, request: &Request, budget: Duration) -> Result<Outcome, CallError> {
        let mut ticket = self.submit(ring, request)?;
        if ticket.rung == Rung::Woken
            || !self.may_spin
            || budget.is_zero()
            || self.spinning.load(Relaxed)
            || self.spinning.compare_exchange(false, true, Acquire, Relaxed).is_err()
        {
            return Ok(Outcome::Pending(ticket));
        }
        let start = Instant::now();
        let outcome = 'spin: loop {
            for _ in 0..POLLS {
                match self.poll(ticket) {
                    Ok(Outcome::Pending(back)) => ticket = back,
                    other => break 'spin other,
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= budget || self.is_down() {
                break Ok(Outcome::Pending(ticket));
            }
        };
        self.spinning.store(false, Release);
        if matches!(outcome, Ok(Outcome::Done(_))) {
            self.hits.fetch_add(1, Relaxed);
        }
        Ok(outcome?)
    }

    /// Looks for the reply; on `Done` the slot is free again.
    pub fn poll(&self, ticket: Ticket) -> Result<Outcome, Corrupt> {
        match self.replies.slot(ticket.slot).poll(ticket.generation) {
            Ok(Poll::Done) => Ok(Outcome::Done(self.take_reply(ticket.slot))),
            Ok(Poll::Pending) => Ok(Outcome::Pending(ticket)),
            Err(corrupt) => {
                self.free_slot(ticket.slot);
                Err(corrupt)
            }
        }
    }

    /// Leaves the reply to the waiter. Whatever the waiter needs to know must have been noted before. An
    /// error means that the call is over and nobody else will tell the caller.
    pub fn park(&self, ticket: Ticket) -> Result<Parked, CallError> {
        let claim = self.claim(ticket.slot);
        // Before the slot says so: the waiter may see the reply at once.
        let offer = claim.offer();
        match self.replies.slot(ticket.slot).park(ticket.generation) {
            Ok(Poll::Pending) if claim.settle(offer) => {
                self.parks.fetch_add(1, Relaxed);
                Ok(Parked::Waiting(ticket.slot))
            }
            Ok(Poll::Pending) => {
                self.free_slot(ticket.slot);
                Err(CallError::Down)
            }
            // A broken service may have got the waiter to take it.
            _ if !claim.take_back(offer) => Ok(Parked::Waiting(ticket.slot)),
            Ok(Poll::Done) => Ok(Parked::Done(self.take_reply(ticket.slot))),
            Err(corrupt) => {
                self.free_slot(ticket.slot);
                Err(corrupt.into())
            }
        }
    }

    /// The next reply to a parked call. Only the waiter thread calls this.
    pub fn next_completion(&self) -> Result<Option<(Owed, Reply)>, Corrupt> {
        let ring = Ring::new(
            self.requests.completion_head(),
            self.replies.completion_tail(),
            self.replies.completions(),
        );
        let Some(found) = ring.pop()? else { return Ok(None) };
        let slot = self.shape.slot("completed slot", found)?;
        if !self.replies.slot(slot).is_done() || !self.claim(slot).take() {
            return Err(Corrupt { what: "completed slot", found });
        }
        Ok(Some((Owed(slot), self.read_reply(slot))))
    }

    /// Sleeps until there may be a completion, or `stop` says so. Only the waiter thread calls this. It
    /// needs a timeout: a broken service can keep the bell from waking it.
    pub fn wait(&self, timeout: Duration, stop: impl FnOnce() -> bool) {
        let head = self.requests.completion_head();
        let tail = self.replies.completion_tail();
        let some = || stop() || Load32::load(tail, Acquire) != head.load(Relaxed);
        self.replies.waiter_bell().sleep(Some(timeout), some);
    }

    /// Has the waiter look at its `stop` again, which has been changed before.
    pub fn interrupt(&self) {
        self.replies.waiter_bell().ring();
    }

    /// Gives a slot back once its caller has been told.
    pub fn release(&self, owed: Owed) {
        self.free_slot(owed.0);
    }

    /// The service is known to be dead, or not to be trusted any more: refuses calls from now on and
    /// returns the parked ones, whose callers are to be told. A caller that is not parked yet finds out
    /// itself.
    pub fn abort_all(&self) -> Vec<Owed> {
        Claim::declare_dead(&self.down, &Futex);
        (0..self.shape.slots).filter(|&slot| self.claim(slot).take()).map(Owed).collect()
    }

    /// True once [`Client::abort_all`] has been called.
    pub fn is_down(&self) -> bool {
        Load32::load(&self.down, Relaxed) != 0
    }

    /// A block for a payload, or `None` if all are in use.
    pub fn block(&self) -> Option<Block> {
        lock(&self.blocks).pop().map(Block)
    }

    /// Writes the payload of a request; false if it is longer than a block.
    #[must_use]
    pub fn write_payload(&self, block: &Block, bytes: &[u8]) -> bool {
        bulk::write(self.requests.block(block.0), bytes)
    }

    /// The payload of a reply, of which the service said that it has `len` bytes.
    pub fn payload(&self, block: &Block, len: u64) -> Result<Payload<'_, AtomicU64>, Corrupt> {
        layout::payload(self.replies.block(block.0), len)
    }

    /// Gives a block back. Its call is over: a service that still writes to it would write to another's.
    pub fn give_back(&self, block: Block) {
        lock(&self.blocks).push(block.0);
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.shape.slots as usize - lock(&self.free).len()
    }

    /// What this client has counted.
    pub fn counts(&self) -> ClientCounts {
        ClientCounts {
            submitted: self.submitted.load(Relaxed),
            hits: self.hits.load(Relaxed),
            parks: self.parks.load(Relaxed),
            wakes: self.wakes.load(Relaxed),
            busy: self.busy.load(Relaxed),
        }
    }

    /// What the service has counted.
    pub fn service_counts(&self) -> ServiceCounts {
        let [beat, taken, sleeps, spins_won] = self.replies.counts().each_ref().map(|n| n.load(Relaxed));
        ServiceCounts { beat, progress: self.replies.progress().load(Relaxed), taken, sleeps, spins_won }
    }

    fn claim(&self, slot: u32) -> Claim<'_, AtomicU32, Futex> {
        Claim::new(&self.parked[slot as usize], &self.down, &Futex)
    }

    fn refuse(&self) -> CallError {
        self.busy.fetch_add(1, Relaxed);
        CallError::Busy
    }

    fn read_reply(&self, slot: u32) -> Reply {
        let words = self.replies.reply(slot);
        std::array::from_fn(|n| words[n].load(Relaxed))
    }

    fn take_reply(&self, slot: u32) -> Reply {
        let reply = self.read_reply(slot);
        self.free_slot(slot);
        reply
    }

    fn free_slot(&self, slot: u32) {
        self.replies.slot(slot).release();
        lock(&self.free).push(slot);
    }
}
