//! Suite `ipc`, the part without a BEAM: what two threads need at least to hand a word over and back.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Instant;

use crate::timing::Row;

#[repr(align(128))]
struct Line(AtomicU64);

/// Round trips of a word between two spinning threads, as two rows without a rival.
pub fn run(quick: bool, mut print: impl FnMut(Row)) {
    let rounds = if quick { 20_000 } else { 200_000 };
    let (there, back) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
    let mut times = Vec::with_capacity(rounds as usize);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=rounds {
                while there.0.load(Acquire) != n {
                    std::hint::spin_loop();
                }
                back.0.store(n, Release);
            }
        });
        for n in 1..=rounds {
            let start = Instant::now();
            there.0.store(n, Release);
            while back.0.load(Acquire) != n {
                std::hint::spin_loop();
            }
            times.push(start.elapsed().as_nanos() as f64);
        }
    });
    times.sort_by(f64::total_cmp);
    for (metric, percent) in [("p50_ns", 50), ("p99_ns", 99)] {
        let value = times[times.len() * percent / 100];
        let row = Row {
            suite: "ipc",
            case: "raw_spin",
            metric,
            unit: "ns",
            value,
            baseline: None,
            baseline_value: None,
            ratio: None,
        };
        print(row);
    }
}
