//! A client, whatever its transport: its process, its bounded queue, and how it ends.
//!
//! The router puts frames in and never waits; the task of the connection, or a poll, takes them out. The lock is
//! held for that alone, never over a write.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use dist::Pid;
use dist::term::{atom, int, tuple};
use tokio::sync::mpsc::UnboundedSender;
use wire::phoenix::{Message, Unbuildable, Vsn};

use crate::beam::{Beam, Minted};
use crate::config::Limits;
use crate::frames::{Transport, Unframed, frame};
use crate::metrics::{Closed, Metrics, Refused};
use crate::router::Input;

/// The code of a connection that ended without one.
pub const ABNORMAL: u16 = 1006;

/// How a socket ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code of RFC 6455.
    pub code: u16,
    /// What the client is told.
    pub reason: String,
    /// What is counted.
    pub why: Closed,
    /// Whether what is queued is not sent any more, and the client's answer not waited for.
    pub at_once: bool,
}

impl Close {
    /// A close that comes after what is queued.
    pub fn new(code: u16, reason: impl Into<String>, why: Closed) -> Self {
        Close { code, reason: reason.into(), why, at_once: false }
    }

    /// A close that comes before what is queued.
    pub fn at_once(code: u16, reason: impl Into<String>, why: Closed) -> Self {
        Close { at_once: true, ..Close::new(code, reason, why) }
    }
}

/// Where a frame of a stream belongs.
#[derive(Debug, Clone)]
pub struct Place {
    /// The key of its subscription.
    pub key: Arc<[u8]>,
    /// The tick at which the subscriber was before it.
    pub before: Option<i64>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the queue.
    Queued,
    /// The queue is too full for a frame that may be dropped.
    Crowded,
    /// The queue was full, or the socket is closing.
    Lost,
}

#[derive(Debug)]
struct Queued {
    bytes: Bytes,
    place: Option<Place>,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Queued>,
    bytes: usize,
    /// Subscriptions that fell behind, to be reported when the queue is empty.
    lagged: Vec<(Arc<[u8]>, Option<i64>)>,
    closing: Option<Close>,
    waker: Option<Waker>,
    /// Who waits for nothing but the end.
    end_waker: Option<Waker>,
}

/// What is found in the queue.
#[derive(Debug, Default)]
pub struct Taken {
    /// Subscriptions that fell behind, if nothing else is there.
    pub lagged: Vec<(Arc<[u8]>, Option<i64>)>,
    /// How to end, if nothing else is there.
    pub close: Option<Close>,
}

/// What sockets share.
#[derive(Debug)]
pub struct Common {
    /// The limits.
    pub limits: Limits,
    /// The counters.
    pub metrics: Metrics,
    /// Makes processes.
    pub beam: Arc<dyn Beam>,
    /// The way to the router.
    pub router: UnboundedSender<Input>,
    /// Turns of the router, some in a second.
    pub turns: AtomicU64,
    start: Instant,
}

impl Common {
    /// What sockets share.
    pub fn new(limits: Limits, beam: Arc<dyn Beam>, router: UnboundedSender<Input>) -> Arc<Self> {
        let turns = AtomicU64::new(0);
        Arc::new(Common { limits, metrics: Metrics::default(), beam, router, turns, start: Instant::now() })
    }

    /// Milliseconds since the start, at least 1.
    pub fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + 1
    }
}

/// A client.
#[derive(Debug)]
pub struct Socket {
    /// What it shares with the others.
    pub common: Arc<Common>,
    /// Its process.
    pub minted: Arc<dyn Minted>,
    /// Its number.
    pub id: u64,
    /// How it is connected.
    pub transport: Transport,
    /// Its serializer.
    pub vsn: Vsn,
    /// The process that is told of what it sends.
    pub connection: OnceLock<Pid>,
    state: Mutex<State>,
    /// Messages that the BEAM has not handled yet, and the bytes of their payloads.
    unhandled: AtomicU64,
    unhandled_bytes: AtomicU64,
    /// When something came last, or when it was polled last.
    heard_ms: AtomicU64,
    /// Since when it takes nothing; 0 if it does.
    stuck_ms: AtomicU64,
}

impl Socket {
    /// A client that has just come.
    pub fn new(common: Arc<Common>, transport: Transport, vsn: Vsn) -> Arc<Self> {
        let minted = common.beam.mint();
        let heard_ms = AtomicU64::new(common.now_ms());
        Arc::new(Socket {
            id: minted.key(),
            common,
            minted,
            transport,
            vsn,
            connection: OnceLock::new(),
            state: Mutex::default(),
            unhandled: AtomicU64::new(0),
            unhandled_bytes: AtomicU64::new(0),
            heard_ms,
            stuck_ms: AtomicU64::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a message for the BEAM; false if too much waits there already.
    pub fn hand_over(&self, bytes: u64) -> bool {
        let limits = &self.common.limits;
        let messages = self.unhandled.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.unhandled_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // One message may be as long as it likes.
        messages <= limits.input_messages && (bytes <= limits.input_bytes || messages == 1)
    }

    /// The BEAM has handled so much.
    pub fn handled(&self, messages: u64, bytes: u64) {
        for (left, done) in [(&self.unhandled, messages), (&self.unhandled_bytes, bytes)] {
            let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(done)));
        }
    }

    /// Puts a frame in the queue. One of a stream is refused when a quarter of the room is taken; when there is
    /// no room for another, the socket closes.
    pub fn push(&self, bytes: Bytes, place: Option<Place>) -> Pushed {
        let mut state = self.state();
        if state.closing.is_some() {
            return Pushed::Lost;
        }
        let limits = &self.common.limits;
        let (frames, size) = (state.frames.len() as u64 + 1, (state.bytes + bytes.len()) as u64);
        if place.is_some() && (frames > limits.queue_frames.div_ceil(4) || size > limits.queue_bytes / 4) {
            return Pushed::Crowded;
        }
        let full = frames > limits.queue_frames || size > limits.queue_bytes;
        if full {
            state.frames = VecDeque::new();
            state.bytes = 0;
            state.closing = Some(Close::at_once(1008, "backpressure", Closed::Backpressure));
        } else {
            state.bytes += bytes.len();
            state.frames.push_back(Queued { bytes, place });
        }
        wake(state);
        if full { Pushed::Lost } else { Pushed::Queued }
    }

    /// Builds a message and puts it in the queue. What this client cannot be sent is counted and dropped.
    pub fn send(&self, message: &Message<'_>) -> Pushed {
        match frame(message, self.transport, self.vsn) {
            Ok(bytes) => self.push(bytes, None),
            Err(error) => {
                self.common.metrics.refused(refusal(error));
                Pushed::Lost
            }
        }
    }

    /// Takes back the queued frames of a subscription that falls behind, which is at `at`, and notes that it is
    /// to be reported.
    pub fn lag(&self, key: &Arc<[u8]>, mut at: Option<i64>) {
        let mut state = self.state();
        let before = state.frames.len();
        let mut freed = 0;
        state.frames.retain(|queued| match &queued.place {
            Some(place) if place.key == *key => {
                // The first of them is the oldest.
                if freed == 0 {
                    at = place.before;
                }
                freed += queued.bytes.len();
                false
            }
            _ => true,
        });
        state.bytes -= freed;
        self.common.metrics.dropped.add((before - state.frames.len()) as u64);
        state.lagged.push((key.clone(), at));
        wake(state);
    }

    /// A subscription is up to date, or gone: there is nothing to report of it.
    pub fn forget_lag(&self, key: &[u8]) {
        self.state().lagged.retain(|(lagged, _)| **lagged != *key);
    }

    /// Ends the socket, unless it is ending already.
    pub fn close(&self, close: Close) {
        let mut state = self.state();
        if close.at_once {
            state.frames = VecDeque::new();
            state.bytes = 0;
        }
        match &mut state.closing {
            Some(closing) => closing.at_once |= close.at_once,
            none => *none = Some(close),
        }
        wake(state);
    }

    /// Whether something waits in the queue.
    pub fn has_frames(&self) -> bool {
        !self.state().frames.is_empty()
    }

    /// Takes so many frames and bytes at most, but one at least. If there are none, tells of the rest, and the
    /// task will be woken when there is something again.
    pub fn take(
        &self,
        cx: &mut Context<'_>,
        frames: usize,
        bytes: usize,
        mut put: impl FnMut(Bytes),
    ) -> Taken {
        let mut state = self.state();
        let (mut taken, mut size) = (0, 0);
        while let Some(next) = state.frames.front() {
            if taken > 0 && (taken == frames || size + next.bytes.len() > bytes) {
                break;
            }
            taken += 1;
            size += next.bytes.len();
            if let Some(queued) = state.frames.pop_front() {
                put(queued.bytes);
            }
        }
        state.bytes -= size;
        if state.frames.is_empty() && state.frames.capacity() > 16 {
            state.frames = VecDeque::new();
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        if taken > 0 {
            return Taken::default();
        }
        Taken { lagged: std::mem::take(&mut state.lagged), close: state.closing.clone() }
    }

    /// How it is ending, if it is; the task will be woken when that changes.
    pub fn closing(&self, cx: &mut Context<'_>) -> Option<Close> {
        let mut state = self.state();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        state.closing.clone()
    }

    /// Waits until it is ending. Only one task may.
    pub async fn closed(&self) -> Close {
        std::future::poll_fn(|cx| {
            let mut state = self.state();
            match state.closing.clone() {
                Some(close) => Poll::Ready(close),
                None => {
                    state.end_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Whether it is ending.
    pub fn is_closing(&self) -> bool {
        self.state().closing.is_some()
    }

    /// Something came from the client.
    pub fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The client takes nothing, or does again.
    pub fn stuck(&self, since_ms: Option<u64>) {
        match since_ms {
            Some(now) => {
                let _ = self.stuck_ms.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
            }
            None => self.stuck_ms.store(0, Ordering::Relaxed),
        }
    }

    /// Ends it if it has overstayed.
    pub fn sweep(&self, now_ms: u64) {
        if self.is_closing() {
            // Its task looks at the time that it takes.
            return wake(self.state());
        }
        let limits = &self.common.limits;
        let stuck = self.stuck_ms.load(Ordering::Relaxed);
        if stuck != 0 && now_ms.saturating_sub(stuck) > limits.write_ms {
            return self.close(Close::at_once(ABNORMAL, "write_timeout", Closed::WriteTimeout));
        }
        let idle = now_ms.saturating_sub(self.heard_ms.load(Ordering::Relaxed));
        match self.transport {
            Transport::WebSocket if idle > limits.idle_ms => {
                // After 1000 a client of Phoenix would not come back.
                self.close(Close::new(1001, "idle", Closed::Idle));
            }
            Transport::LongPoll if idle > limits.poll_idle_ms => {
                self.close(Close::at_once(ABNORMAL, "idle", Closed::PollIdle));
            }
            _ => {}
        }
    }

    /// It has ended: tells the BEAM and the router.
    pub fn ended(&self, code: u16, why: Closed) {
        self.minted.exit(tuple([atom("closed"), int(code)]));
        self.common.metrics.closed(why);
        // The router outlives sockets but for the last moment.
        let _ = self.common.router.send(Input::Gone(self.id));
    }
}

/// What a message that cannot be framed is counted as.
pub fn refusal(error: Unframed) -> Refused {
    match error {
        Unframed::BinaryOnLongpoll => Refused::BinaryOnLongpoll,
        Unframed::Unbuildable(Unbuildable::BinaryOnV1) => Refused::BinaryOnV1,
        Unframed::Unbuildable(Unbuildable::TooLong { .. }) => Refused::FieldTooLong,
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    let end_waker = state.closing.is_some().then(|| state.end_waker.take()).flatten();
    drop(state);
    [waker, end_waker].into_iter().flatten().for_each(Waker::wake);
}
