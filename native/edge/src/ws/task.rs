//! The task of a WebSocket. It is polled by hand, so that a socket that idles has no buffer, no timer and no
//! second task: it costs its future, its descriptor and its process.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use dist::Term;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::header::{self, Opcode};
use super::reader::{Item, Most, Reader, Violation};
use crate::beam::Sending;
use crate::http::server::linger;
use crate::inbound::{self, Frame};
use crate::limits::{Bucket, Pass};
use crate::metrics::Closed;
use crate::socket::{ABNORMAL, Close, Socket};

/// Read at once, by whichever socket a thread polls.
const SCRATCH: usize = 16 << 10;

/// Frames and bytes that are written at once.
const FRAMES: usize = 64;
const BYTES: usize = 256 << 10;

/// How long a client has to answer our close, in milliseconds.
const CLOSE_MS: u64 = 2000;

thread_local! {
    static BUFFER: RefCell<[u8; SCRATCH]> = const { RefCell::new([0; SCRATCH]) };
}

/// How a WebSocket ended.
type End = (u16, Closed);

enum Phase {
    Open,
    /// Our close is being written, or has been; what comes is passed over until the client's.
    Closing {
        close: Close,
        since_ms: u64,
    },
    /// Both have closed: what is left is to write.
    Answered {
        end: End,
    },
}

struct Connection {
    socket: Arc<Socket>,
    stream: TcpStream,
    reader: Reader,
    bucket: Bucket,
    phase: Phase,
    /// Taken from the queue, the first perhaps written in part. No pong is put within a frame.
    writing: VecDeque<Bytes>,
    to_beam: VecDeque<Term>,
    sending: Option<Sending>,
    /// A close is the last of them: nothing is written after it.
    last_queued: bool,
    /// The client broke the protocol, so its answer to our close cannot be read, only its end.
    broken: bool,
}

/// Serves a WebSocket to its end. `early` came behind the handshake.
pub async fn run(socket: Arc<Socket>, stream: TcpStream, early: Bytes, pass: Pass) {
    let limits = socket.common.limits;
    let now = socket.common.now_ms();
    socket.heard(now);
    socket.common.metrics.websockets.add(1);
    let mut connection = Connection {
        reader: Reader::new(Most { frame: limits.frame_bytes, message: limits.message_bytes }),
        bucket: Bucket::full(limits.burst, now),
        phase: Phase::Open,
        writing: VecDeque::new(),
        to_beam: VecDeque::new(),
        sending: None,
        last_queued: false,
        broken: false,
        socket,
        stream,
    };
    connection.feed(&early);
    drop(early);
    let (code, why) = std::future::poll_fn(|cx| connection.poll(cx)).await;
    let Connection { socket, stream, broken, .. } = connection;
    socket.common.metrics.websockets.add(-1);
    if !broken {
        // First of all: who is told of the end may connect anew.
        drop((stream, pass));
        return socket.ended(code, why);
    }
    socket.ended(code, why);
    linger(stream).await;
    drop(pass);
}

impl Connection {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let mut again = match self.poll_write(cx) {
                Ok(progress) => progress,
                Err(end) => return Poll::Ready(end),
            };
            match self.poll_beam(cx) {
                Ok(progress) => again |= progress,
                // The router closes all sockets; let it.
                Err(()) => self.to_beam.clear(),
            }
            let closing = self.socket.closing(cx);
            if let Some(end) = self.finished(closing.as_ref()) {
                // What is on its way arrives, though the client may have sent more than was read.
                let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
                return Poll::Ready(end);
            }
            if let Some(close) = closing.filter(|close| close.at_once)
                && matches!(self.phase, Phase::Open)
            {
                self.writing.truncate(1);
                self.start_closing(close);
                again = true;
            }
            match self.poll_read(cx) {
                Ok(progress) => again |= progress,
                Err(end) => return Poll::Ready(end),
            }
            if !again {
                return Poll::Pending;
            }
        }
    }

    /// How it ends, if nothing is left to do.
    fn finished(&self, closing: Option<&Close>) -> Option<End> {
        match &self.phase {
            _ if closing.is_some_and(|close| close.why == Closed::WriteTimeout) => {
                Some((ABNORMAL, Closed::WriteTimeout))
            }
            Phase::Open => None,
            // What the client said before its close is passed on first.
            Phase::Answered { end } => {
                let passed_on = self.to_beam.is_empty() && self.sending.is_none();
                (self.writing.is_empty() && passed_on).then_some(*end)
            }
            // The answer could not be read.
            Phase::Closing { close, .. } if self.broken && self.writing.is_empty() => {
                Some((close.code, close.why))
            }
            Phase::Closing { close, since_ms } => {
                let late = self.socket.common.now_ms().saturating_sub(*since_ms) > CLOSE_MS;
                let at_once = self.writing.is_empty() && closing.is_some_and(|close| close.at_once);
                (at_once || late).then_some((close.code, close.why))
            }
        }
    }

    /// Passes on what waits for the BEAM; whether something more can be read now.
    fn poll_beam(&mut self, cx: &mut Context<'_>) -> Result<bool, ()> {
        let mut progress = false;
        loop {
            if let Some(sending) = &mut self.sending {
                match sending.as_mut().poll(cx) {
                    Poll::Pending => return Ok(progress),
                    Poll::Ready(result) => {
                        self.sending = None;
                        result.map_err(|_| ())?;
                        progress = true;
                    }
                }
            }
            let Some(term) = self.to_beam.pop_front() else {
                self.to_beam = VecDeque::new();
                return Ok(progress);
            };
            let Some(connection) = self.socket.connection.get() else { continue };
            self.sending = Some(self.socket.minted.clone().send(connection.into(), term));
        }
    }

    /// Writes what is queued; whether what could not go on before can now.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut progress = false;
        loop {
            if self.writing.is_empty() {
                self.fill(cx);
            }
            if self.writing.is_empty() {
                return Ok(progress);
            }
            let stream = Pin::new(&mut self.stream);
            // One frame is the rule, and `send` costs the kernel less than `writev`.
            let written = if let (1, Some(frame)) = (self.writing.len(), self.writing.front()) {
                stream.poll_write(cx, frame)
            } else {
                let mut slices = [IoSlice::new(&[]); FRAMES];
                let count =
                    self.writing.iter().zip(&mut slices).map(|(bytes, slice)| *slice = IoSlice::new(bytes));
                let count = count.count();
                stream.poll_write_vectored(cx, &slices[..count])
            };
            match written {
                Poll::Pending => {
                    self.socket.stuck(Some(self.socket.common.now_ms()));
                    return Ok(progress);
                }
                Poll::Ready(Ok(written)) if written > 0 => {
                    progress = true;
                    self.socket.stuck(None);
                    self.advance(written);
                }
                Poll::Ready(_) => return Err(self.gone()),
            }
        }
    }

    fn fill(&mut self, cx: &mut Context<'_>) {
        if self.last_queued {
            return;
        }
        let writing = &mut self.writing;
        let taken = self.socket.take(cx, FRAMES, BYTES, |bytes| writing.push_back(bytes));
        for (key, at) in taken.lagged {
            self.to_beam.push_back(inbound::lagged(self.socket.id, &key, at));
        }
        if let Some(close) = taken.close
            && matches!(self.phase, Phase::Open)
        {
            self.start_closing(close);
        }
    }

    fn advance(&mut self, mut written: usize) {
        let metrics = &self.socket.common.metrics;
        metrics.writes.one();
        metrics.bytes_out.add(written as u64);
        let mut frames = 0;
        while let Some(first) = self.writing.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written -= first.len();
            frames += 1;
            self.writing.pop_front();
        }
        metrics.frames_out.add(frames);
        if self.writing.is_empty() && self.writing.capacity() > 8 {
            self.writing = VecDeque::new();
        }
    }

    /// Reads while nothing waits for the BEAM or for the client; whether there is something to do for it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut progress = false;
        while self.to_beam.is_empty() && self.sending.is_none() && self.writing.len() < FRAMES {
            let read = BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let result = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
                if result.is_ok() && !buffer.filled().is_empty() {
                    self.feed(buffer.filled());
                }
                Poll::Ready(result.map(|()| buffer.filled().len()))
            });
            match read {
                Poll::Pending => return Ok(progress),
                Poll::Ready(Ok(read)) if read > 0 => progress = true,
                Poll::Ready(_) => return Err(self.gone()),
            }
        }
        Ok(progress)
    }

    fn feed(&mut self, mut input: &[u8]) {
        if input.is_empty() || self.broken || matches!(self.phase, Phase::Answered { .. }) {
            return;
        }
        self.socket.heard(self.socket.common.now_ms());
        loop {
            match self.reader.next(&mut input) {
                Ok(None) => return,
                Ok(Some(item)) => self.item(item),
                // What follows cannot be read, and is passed over.
                Err(violation) => {
                    if matches!(self.phase, Phase::Open) {
                        self.fail(violation);
                    }
                    self.broken = true;
                    return;
                }
            }
            if matches!(self.phase, Phase::Answered { .. }) {
                return;
            }
        }
    }

    fn item(&mut self, item: Item) {
        let taken = match (&self.phase, item) {
            (Phase::Open, Item::Text(text)) => self.message(Frame::Text(&text)),
            (Phase::Open, Item::Binary(bytes)) => self.message(Frame::Binary(&bytes)),
            (Phase::Open, Item::Ping(payload)) => {
                self.writing.push_back(header::whole(Opcode::Pong, &payload).into());
                inbound::allow(&self.socket, &mut self.bucket)
            }
            (Phase::Open, Item::Pong) => inbound::allow(&self.socket, &mut self.bucket),
            (Phase::Open, Item::Close(code)) => {
                let reply = match code {
                    Some(code) => header::close(code, ""),
                    None => header::whole(Opcode::Close, &[]),
                };
                self.end_writing(reply);
                self.phase = Phase::Answered { end: (code.unwrap_or(1005), Closed::Client) };
                Ok(())
            }
            (Phase::Closing { close, .. }, Item::Close(_)) => {
                self.phase = Phase::Answered { end: (close.code, close.why) };
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(close) = taken {
            self.start_closing(close);
        }
    }

    fn message(&mut self, frame: Frame<'_>) -> Result<(), Close> {
        if let Some(term) = inbound::take(&self.socket, &mut self.bucket, frame)? {
            self.to_beam.push_back(term);
        }
        Ok(())
    }

    fn fail(&mut self, violation: Violation) {
        let why = match violation {
            Violation::Protocol(_) => Closed::Protocol,
            Violation::Utf8 => Closed::BadUtf8,
            Violation::TooLarge => Closed::TooLarge,
        };
        self.start_closing(Close::new(violation.code(), violation.to_string(), why));
    }

    fn start_closing(&mut self, close: Close) {
        // Nothing more is queued for it, and it is swept.
        self.socket.close(close.clone());
        self.end_writing(header::close(close.code, &close.reason));
        self.phase = Phase::Closing { close, since_ms: self.socket.common.now_ms() };
    }

    /// Writes a close after what is being written, and nothing after that.
    fn end_writing(&mut self, close: Vec<u8>) {
        self.writing.push_back(close.into());
        self.last_queued = true;
    }

    fn gone(&self) -> End {
        match &self.phase {
            Phase::Open => (ABNORMAL, Closed::Gone),
            Phase::Closing { close, .. } => (close.code, close.why),
            Phase::Answered { end } => *end,
        }
    }
}
