//! Moves pages from the log before the database to the database, beside the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::store::open::raw;

/// What the mover does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moving {
    Resting,
    Busy,
    /// It has moved what there was when it began.
    Done,
}

const RESTING: u8 = 0;
const BUSY: u8 = 1;
const DONE: u8 = 2;

/// The task that does it.
#[derive(Debug)]
pub(crate) struct Mover {
    state: Arc<AtomicU8>,
    asked: mpsc::UnboundedSender<()>,
    task: JoinHandle<()>,
}

impl Mover {
    pub fn start(mut db: SqliteConnection) -> Mover {
        let (asked, mut asks) = mpsc::unbounded_channel();
        let state = Arc::new(AtomicU8::new(RESTING));
        let done = state.clone();
        let task = tokio::spawn(async move {
            while let Some(()) = asks.recv().await {
                // If it fails, the next time does it.
                let _ = raw(&mut db, "PRAGMA wal_checkpoint(PASSIVE)").await;
                done.store(DONE, Ordering::Release);
            }
            let _ = db.close().await;
        });
        Mover { state, asked, task }
    }

    pub fn state(&self) -> Moving {
        match self.state.load(Ordering::Acquire) {
            RESTING => Moving::Resting,
            BUSY => Moving::Busy,
            _ => Moving::Done,
        }
    }

    pub fn ask(&self) {
        self.state.store(BUSY, Ordering::Release);
        // It ends after whoever asks.
        let _ = self.asked.send(());
    }

    pub fn rest(&self) {
        self.state.store(RESTING, Ordering::Release);
    }

    pub async fn end(self) {
        drop(self.asked);
        let _ = self.task.await;
    }
}
