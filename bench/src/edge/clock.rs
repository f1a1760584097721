//! Clocks in nanoseconds.

use nix::time::{ClockId, clock_gettime};

/// What `:os.perf_counter(:nanosecond)` of a BEAM on this machine says.
pub fn monotonic() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Processor time of this process.
pub fn cpu() -> u64 {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("a clock that every system has");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
