//! Snapshots: copying a world out of its memory while it goes on, and making one from the copy.
//!
//! The bytes are those of [`wire::snapshot`]. A capture begins while nothing ticks: it pins the published tick and
//! copies the objects. Then ticks may go on; the rows are copied under the pin. What was copied is checked as if it
//! came from a stranger, since another process may have written it.

mod capture;
mod contents;
mod restore;

use std::sync::Arc;

use rayon::ThreadPool;

pub use capture::Capture;
pub use contents::{Contents, Objects};
pub use restore::RestoreError;

use crate::pool;

/// Cells from which on several threads are worth their start.
const MANY_CELLS: usize = 1 << 19;
/// Most threads that one snapshot takes.
const MOST_THREADS: usize = 8;

/// Threads for a large world; none for a small one, or if there are none to be had.
fn helpers(cells: usize) -> Option<Arc<ThreadPool>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    if cells < MANY_CELLS || threads < 2 { None } else { pool::of_size(threads).ok() }
}

/// Runs `work` on these threads, if there are any.
fn on<T: Send>(pool: Option<&ThreadPool>, work: impl FnOnce() -> T + Send) -> T {
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
