//! Counts of what was committed, and how long that took.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many commits the percentiles are of.
const KEPT: usize = 1000;

/// Counters that the writer adds to.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    commits: u64,
    groups: u64,
    entries: u64,
    last: VecDeque<Duration>,
}

/// What has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Requests that were committed.
    pub commits: u64,
    /// Transactions that this took.
    pub groups: u64,
    /// Entries that were written.
    pub entries: u64,
    /// From a request to its answer, in microseconds, of the last 1000: the median.
    pub commit_us_p50: u64,
    /// The 99th percentile.
    pub commit_us_p99: u64,
}

impl Stats {
    /// A group was committed: requests that took this long each.
    pub(crate) fn committed(&self, took: impl Iterator<Item = Duration>, entries: usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.groups += 1;
        counts.entries += entries as u64;
        for took in took {
            counts.commits += 1;
            if counts.last.len() == KEPT {
                counts.last.pop_front();
            }
            counts.last.push_back(took);
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last: Vec<Duration> = counts.last.iter().copied().collect();
        last.sort_unstable();
        let at =
            |percent: usize| last.get(last.len() * percent / 100).map_or(0, |took| took.as_micros() as u64);
        Snapshot {
            commits: counts.commits,
            groups: counts.groups,
            entries: counts.entries,
            commit_us_p50: at(50),
            commit_us_p99: at(99),
        }
    }
}
