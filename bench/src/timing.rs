//! Medians of interleaved rounds.

use std::time::Instant;

use serde::Serialize;

/// One row of a report: a case and one baseline of it.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Benchmark suite.
    pub suite: &'static str,
    /// Case within the suite.
    pub case: &'static str,
    /// What is measured.
    pub metric: &'static str,
    /// Unit of `value` and `baseline_value`.
    pub unit: &'static str,
    /// Our figure.
    pub value: f64,
    /// Name of the rival.
    pub baseline: Option<&'static str>,
    /// Its figure.
    pub baseline_value: Option<f64>,
    /// How many times better than the rival; higher is better.
    pub ratio: Option<f64>,
}

/// Seconds that one call takes.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Runs all `contestants` in turn, `rounds` times, and gives the median seconds of each. Taking turns
/// spreads whatever else the machine does over all of them.
pub fn medians<const N: usize>(rounds: usize, mut contestants: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (times, contestant) in times.iter_mut().zip(&mut contestants) {
            times.push(seconds(contestant));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}
