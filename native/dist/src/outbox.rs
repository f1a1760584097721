//! The one queue to the peer. It holds at most [`QUEUE_BYTES`]: who sends more waits, or is told that the peer
//! is busy, so a peer that does not read costs no more memory than that.

use std::sync::Arc;
use std::time::Duration;

use erl_dist::message::Message;
use thiserror::Error;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::frame;

/// How many bytes wait for a slow peer before senders wait too.
pub const QUEUE_BYTES: usize = 8 << 20;

/// A BEAM drops a peer that is silent for long, even one to which it keeps talking.
const TICK: Duration = Duration::from_secs(2);

/// The connection to the peer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the connection to the BEAM has ended: connect anew, or end the program")]
pub struct Closed;

/// Why a message was not taken at once. The message is gone; a sender that must not lose it keeps its own copy
/// or waits with the `async` form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TrySendError {
    /// The queue is full.
    #[error("the BEAM does not read fast enough: drop the message or send it later")]
    Busy,
    /// There is no connection any more.
    #[error(transparent)]
    Closed(#[from] Closed),
}

pub(crate) type Frame = (Vec<u8>, Option<OwnedSemaphorePermit>);

#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    queue: mpsc::UnboundedSender<Frame>,
    room: Arc<Semaphore>,
}

impl Outbox {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Frame>) {
        let (queue, receiver) = mpsc::unbounded_channel();
        (Outbox { queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)) }, receiver)
    }

    /// Waits until the queue is not full.
    pub(crate) async fn room(&self) -> Result<(), Closed> {
        self.room.acquire().await.map(drop).map_err(|_| Closed)
    }

    /// Sends when there is room for it; in order for each sender.
    pub(crate) async fn send(&self, frame: Vec<u8>) -> Result<(), Closed> {
        let permit = self.room.clone().acquire_many_owned(weight(&frame)).await.map_err(|_| Closed)?;
        self.queue.send((frame, Some(permit))).map_err(|_| Closed)
    }

    /// Sends if there is room for it now.
    pub(crate) fn try_send(&self, frame: Vec<u8>) -> Result<(), TrySendError> {
        if self.room.is_closed() {
            return Err(Closed.into());
        }
        let permit =
            self.room.clone().try_acquire_many_owned(weight(&frame)).map_err(|_| TrySendError::Busy)?;
        self.queue.send((frame, Some(permit))).map_err(|_| Closed.into())
    }

    /// Sends a signal whether there is room or not. Each is small and answers or undoes one that was waited
    /// for, so their number is bounded by what both sides have asked for.
    pub(crate) fn signal(&self, message: Message) {
        // What cannot be encoded is an exit reason with an atom of more than 64 KiB.
        if let Ok(frame) = frame::encode(message) {
            let _ = self.queue.send((frame, None));
        }
    }

    /// An empty frame.
    pub(crate) fn tick(&self) {
        let _ = self.queue.send((vec![0; 4], None));
    }

    pub(crate) fn close(&self) {
        self.room.close();
    }
}

fn weight(frame: &[u8]) -> u32 {
    frame.len().min(QUEUE_BYTES) as u32
}

/// Writes what is queued until the queue or the socket ends; keeps the connection alive while there is nothing.
pub(crate) async fn write<W: AsyncWrite + Unpin>(
    mut queue: mpsc::UnboundedReceiver<Frame>,
    writer: W,
) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(64 << 10, writer);
    loop {
        match tokio::time::timeout(TICK, queue.recv()).await {
            Ok(Some((frame, _permit))) => writer.write_all(&frame).await?,
            Ok(None) => return writer.flush().await,
            Err(_) => writer.write_all(&[0; 4]).await?,
        }
        while let Ok((frame, _permit)) = queue.try_recv() {
            writer.write_all(&frame).await?;
        }
        writer.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_peer_that_does_not_read_makes_senders_wait() {
        block_on(async {
            let (outbox, mut queue) = Outbox::new();
            for _ in 0..8 {
                outbox.try_send(vec![0; QUEUE_BYTES / 8]).unwrap();
            }
            assert_eq!(outbox.try_send(vec![0]), Err(TrySendError::Busy));
            let waiting = outbox.send(vec![1]);
            tokio::pin!(waiting);
            assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
            drop(queue.try_recv().unwrap());
            waiting.await.unwrap();
            // More than the whole queue waits for all of it instead of for ever.
            while queue.try_recv().is_ok() {}
            outbox.try_send(vec![0; QUEUE_BYTES + 1]).unwrap();
            outbox.close();
            assert_eq!(outbox.try_send(vec![0]), Err(TrySendError::Closed(Closed)));
            assert_eq!(outbox.send(vec![0]).await, Err(Closed));
        });
    }

    #[test]
    fn an_idle_connection_ticks() {
        block_on(async {
            let (_outbox, queue) = Outbox::new();
            let (ours, mut theirs) = tokio::io::duplex(64);
            tokio::pin! { let writing = write(queue, ours); }
            let mut tick = [1; 4];
            tokio::select! {
                _ = &mut writing => panic!("ended"),
                read = tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut tick) => { read.unwrap(); }
            }
            assert_eq!(tick, [0; 4]);
        });
    }
}
