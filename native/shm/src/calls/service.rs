//! The answering side: one thread takes requests, any number of threads answer them.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::layout::{self, Replies, Requests, Shape};
use super::{CallsError, PayloadError, REQUEST_WORDS, Reply, Request};
use crate::bulk::{self, Payload};
use crate::header::{self, Kind};
use crate::read_only::{ReadOnly, ReadOnlySegment};
use crate::ring::{PushError, Ring};
use crate::slot::{Completion, Generation};
use crate::sync::{Load32, Load64};
use crate::{Corrupt, Segment, clock};

/// How long a service stays awake after its last request, if a core is to spare: longer than a caller needs
/// to come back with its next one, far shorter than anybody would notice.
pub const SPIN: Duration = Duration::from_micros(20);

/// How many times longer it stays awake if its last sleep was shorter than that. A caller that found it
/// asleep comes back later than one that spun, and would find it asleep for ever.
const STRETCH: u32 = 5;

/// The longest that a service sleeps, so that its beat shows whether it still lives.
pub const BEAT: Duration = Duration::from_millis(100);

/// Looks at the rings between two looks at the clock.
const LOOKS: u32 = 16;

/// True if one side may wait without sleeping: the other runs meanwhile.
pub(super) fn core_to_spare() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

#[derive(Debug)]
struct Side {
    requests: Requests<ReadOnlySegment>,
    replies: Replies,
    shape: Shape,
    /// The completion ring has one producer.
    completions: Mutex<()>,
}

/// Takes requests; one thread has it.
#[derive(Debug)]
pub struct Taker {
    side: Arc<Side>,
    /// The ring to look at first, so that none is starved.
    first: u32,
    may_spin: bool,
    /// Whether a request was taken since the last wait.
    fresh: bool,
    /// Whether the last sleep was not worth it.
    slept_too_soon: bool,
    beat: u64,
    taken: u64,
    sleeps: u64,
    spins_won: u64,
}

/// Answers requests; each thread that does may have one.
#[derive(Debug, Clone)]
pub struct Completer(Arc<Side>);

/// A request taken by the service.
#[derive(Debug)]
#[must_use]
pub struct Job {
    slot: u32,
    generation: Generation,
    /// What is asked.
    pub request: Request,
}

impl Job {
    /// True if its deadline has passed: nobody waits for the reply any more.
    pub fn is_late(&self) -> bool {
        self.request.deadline != 0 && clock::monotonic_ns() > self.request.deadline
    }
}

/// Serves the two segments of [`Client::segments`](super::Client::segments), of which it must be the only
/// service.
pub fn open(segments: Vec<(OwnedFd, usize)>) -> Result<(Taker, Completer), CallsError> {
    let [requests, replies] =
        <[_; 2]>::try_from(segments).map_err(|segments| CallsError::Segments(segments.len()))?;
    let requests = Segment::open_read_only(requests.0, requests.1)?;
    let replies = Segment::open(replies.0, replies.1)?;
    header::check(&requests, Kind::Requests)?;
    header::check(&replies, Kind::Calls)?;
    let shape = Shape::read(&requests)?;
    let side = Arc::new(Side {
        requests: Requests::new(requests, shape)?,
        replies: Replies::new(replies, shape)?,
        shape,
        completions: Mutex::new(()),
    });
    let completer = Completer(side.clone());
    let may_spin = core_to_spare();
    Ok((
        Taker {
            side,
            first: 0,
            may_spin,
            fresh: false,
            slept_too_soon: false,
            beat: 0,
            taken: 0,
            sleeps: 0,
            spins_won: 0,
        },
        completer,
    ))
}

impl Side {
    fn rings(&self) -> u32 {
        self.requests.rings_in_use().load(Relaxed).min(self.shape.rings)
    }

    fn has_some(&self) -> bool {
        (0..self.rings())
            .any(|ring| self.replies.head(ring).load(Relaxed) != self.requests.tail(ring).load(Relaxed))
    }
}

impl Taker {
    /// How many of what the segments have.
    pub fn shape(&self) -> Shape {
        self.side.shape
    }

    /// The next request of any ring, each ring in turn.
    pub fn take(&mut self) -> Result<Option<Job>, Corrupt> {
        let side = &*self.side;
        let [beat, taken, ..] = side.replies.counts();
        self.beat += 1;
        beat.store(self.beat, Relaxed);
        let rings = side.rings();
        for n in 0..rings {
            let ring = (self.first + n) % rings;
            let queue =
                Ring::new(side.replies.head(ring), side.requests.tail(ring), side.requests.entries(ring));
            let Some(found) = queue.pop()? else { continue };
            self.first = ring + 1;
            self.fresh = true;
            self.taken += 1;
            taken.store(self.taken, Relaxed);
            let slot = side.shape.slot("submitted slot", found)?;
            let words = side.requests.request(slot);
            let deadline = words[0].load(Relaxed);
            let words: [u64; REQUEST_WORDS] = std::array::from_fn(|n| words[1 + n].load(Relaxed));
            let generation = side.replies.slot(slot).generation();
            return Ok(Some(Job { slot, generation, request: Request { words, deadline } }));
        }
        Ok(None)
    }

    /// Waits until there may be a request, at most `timeout` and at most [`BEAT`]. After a request it stays
    /// awake for `spin`, or longer if its last sleep was that short, if a core is to spare; then it sleeps.
    pub fn wait(&mut self, spin: Duration, timeout: Duration) {
        let [_, _, sleeps, spins_won] = self.side.replies.counts();
        if std::mem::take(&mut self.fresh) && self.may_spin && !spin.is_zero() {
            let patience = if self.slept_too_soon { spin * STRETCH } else { spin };
            let start = Instant::now();
            while start.elapsed() < patience {
                for _ in 0..LOOKS {
                    if self.side.has_some() {
                        self.spins_won += 1;
                        spins_won.store(self.spins_won, Relaxed);
                        return;
                    }
                    std::hint::spin_loop();
                }
            }
        }
        self.sleeps += 1;
        sleeps.store(self.sleeps, Relaxed);
        let start = Instant::now();
        self.side.replies.service_bell().sleep(Some(timeout.min(BEAT)), || self.side.has_some());
        self.slept_too_soon = start.elapsed() < spin * STRETCH;
    }
}

impl Completer {
    /// Answers a request.
    pub fn complete(&self, job: Job, reply: &Reply) -> Result<Completion, Corrupt> {
        let replies = &self.0.replies;
        for (word, value) in replies.reply(job.slot).iter().zip(reply) {
            word.store(*value, Relaxed);
        }
        self.progress();
        let completion = replies.slot(job.slot).complete(job.generation);
        if completion == Completion::Parked {
            let queue = Ring::new(
                self.0.requests.completion_head(),
                replies.completion_tail(),
                replies.completions(),
            );
            let pushed = {
                let _only_producer = self.0.completions.lock().unwrap_or_else(PoisonError::into_inner);
                queue.push(u64::from(job.slot))
            };
            match pushed {
                Ok(()) => {}
                Err(PushError::Corrupt(corrupt)) => return Err(corrupt),
                // It has an entry for every slot.
                Err(PushError::Full(found)) => {
                    return Err(Corrupt { what: "completion ring, full at", found });
                }
            }
            replies.waiter_bell().ring();
        }
        Ok(completion)
    }

    /// The payload of a request, which named its block and its length.
    pub fn payload(&self, block: u64, len: u64) -> Result<Payload<'_, ReadOnly<AtomicU64>>, Corrupt> {
        layout::payload(self.0.requests.block(self.0.shape.block(block)?), len)
    }

    /// Writes the payload of a reply into the block that the request named.
    pub fn write_payload(&self, block: u64, bytes: &[u8]) -> Result<(), PayloadError> {
        let block = self.0.shape.block(block)?;
        if bulk::write(self.0.replies.block(block), bytes) {
            return Ok(());
        }
        Err(PayloadError::TooLong { len: bytes.len(), block_bytes: self.0.shape.block_bytes })
    }

    /// Says that work goes on: to be called at every step of long work.
    pub fn progress(&self) {
        self.0.replies.progress().fetch_add(1, Relaxed);
    }
}
