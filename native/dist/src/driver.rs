//! The work of a connection: reading, dispatching, writing.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::frame::{FrameReader, ProtocolError, ReadError};
use crate::outbox::{self, Frame};
use crate::stream::{ReadHalf, WriteHalf};
use crate::table::Table;

/// Why a connection ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Ended {
    /// The BEAM closed it: it stopped, or has dropped this node.
    #[error("the BEAM closed the connection: connect anew if it still runs")]
    Closed,
    /// The BEAM sent what is no distribution protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The socket failed.
    #[error("the connection failed ({0}): connect anew")]
    Io(#[from] std::io::Error),
}

/// Does the work of a connection for as long as it is run. Dropping it closes the connection.
#[derive(Debug)]
#[must_use = "nothing is read or written until the driver runs"]
pub struct Driver {
    guard: Guard,
    reader: FrameReader<ReadHalf>,
    queue: UnboundedReceiver<Frame>,
    writer: WriteHalf,
}

/// However the driver ends, mailboxes and senders learn of it.
#[derive(Debug)]
struct Guard(Arc<Table>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Driver {
    pub(crate) fn new(
        table: Arc<Table>,
        reader: ReadHalf,
        queue: UnboundedReceiver<Frame>,
        writer: WriteHalf,
    ) -> Self {
        Driver { guard: Guard(table), reader: FrameReader::new(reader), queue, writer }
    }

    /// Runs until the connection ends; the answer is why.
    pub async fn run(self) -> Ended {
        let Driver { guard, mut reader, queue, writer } = self;
        let read = async {
            loop {
                // What a message makes this node send is not waited for: so wait before reading it.
                if guard.0.outbox.room().await.is_err() {
                    return Ended::Closed;
                }
                guard.0.backlog.room().await;
                match reader.next().await {
                    Ok(Some(message)) => guard.0.with(|state| state.handle(message)),
                    Ok(None) => return Ended::Closed,
                    Err(ReadError::Protocol(error)) => return error.into(),
                    Err(ReadError::Io(error)) => return ended(error),
                }
            }
        };
        let write = outbox::write(queue, writer);
        tokio::pin!(read, write);
        tokio::select! {
            ended = &mut read => ended,
            result = &mut write => match result {
                Ok(()) => Ended::Closed,
                Err(error) => ended(error),
            },
        }
    }
}

fn ended(error: std::io::Error) -> Ended {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset => Ended::Closed,
        _ => Ended::Io(error),
    }
}
