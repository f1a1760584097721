//! The clock that all processes of a machine share.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn monotonic_ns() -> u64 {
    // It fails only for a clock that does not exist; then nothing is ever late.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// The deadline `within` from now, as a request carries it: never 0, which is none.
pub fn deadline(within: Duration) -> u64 {
    monotonic_ns().saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX)).max(1)
}
