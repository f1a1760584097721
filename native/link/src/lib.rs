//! The event log: what players did, in order, durable before anybody is told so.
//!
//! [`Log::open`] takes a data directory; [`Log::commit`] answers when its operations are on disk; what reads goes
//! through a connection of its own and verifies what it finds. [`control`] offers all of that over the
//! distribution. Tables and checks are described in `docs/persistence.md`.

#![forbid(unsafe_code)]

pub mod control;
mod error;
mod lock;
mod log;
mod mover;
mod stats;
pub mod store;
mod terms;
pub mod wal;
mod writer;

pub use error::{Error, Result};
pub use log::{Log, Mode, Options};
pub use stats::Snapshot as Stats;
pub use store::plan::Op;
pub use store::read::{Batches, Entries, Summary};
