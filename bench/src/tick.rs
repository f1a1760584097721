//! The suite `tick`: the field rule against a neighbour table, a stub and memcpy.

use hexworld::World;

use crate::rivals::{NeighbourTable, Stub};
use crate::timing::{Row, medians, seconds};

/// Ticks in a row where threads are measured: after a pause the scheduler may leave them on one core
/// for some milliseconds.
const BURST: u32 = 8;

/// Runs the suite and hands each row to `report` as it is known.
pub fn run(quick: bool, mut report: impl FnMut(Row)) {
    let rounds = if quick { 5 } else { 15 };
    dense(rounds, &mut report);
    beat(if quick { 64 } else { 320 }, &mut report);
    crate::factory::run(quick, &mut report);
    if !quick {
        hundred_million(&mut report);
    }
}

fn row(case: &'static str, metric: &'static str, value: f64, baseline: Option<(&'static str, f64)>) -> Row {
    Row {
        suite: "tick",
        case,
        metric,
        unit: if metric == "cells_per_s" { "cells/s" } else { "updates/s" },
        value,
        baseline: baseline.map(|(name, _)| name),
        baseline_value: baseline.map(|(_, value)| value),
        ratio: baseline.map(|(_, other)| value / other),
    }
}

fn step(world: &World) {
    world.advance(world.tick().unwrap() + 1, || true).expect("nobody else ticks it");
}

/// Every row acting at f = 1000.
fn dense(rounds: usize, report: &mut impl FnMut(Row)) {
    let one = crate::world(1000, Some(1), 1);
    let two = crate::world(1000, Some(1), 2);
    let mut table = NeighbourTable::new(&one);
    let (mut stub, mut copy) = (Stub::new(one.sphere()), Stub::new(one.sphere()));
    let mut tick = 0;
    let [ours, threads, table, stubbed, copied] = medians(
        rounds,
        [
            &mut || step(&one),
            &mut || (0..BURST).for_each(|_| step(&two)),
            &mut || {
                table.step(tick);
                tick += 1;
            },
            &mut || stub.step(),
            &mut || copy.copy(),
        ],
    );
    std::hint::black_box(stub.probe());
    let rate = |seconds: f64| f64::from(one.sphere().cells()) / seconds;
    for rival in [("neighbour_table", rate(table)), ("stub", rate(stubbed)), ("memcpy", rate(copied))] {
        report(row("field_dense", "cells_per_s", rate(ours), Some(rival)));
    }
    let threads = threads / f64::from(BURST);
    report(row("field_threads", "cells_per_s", rate(threads), Some(("one_thread", rate(ours)))));
}

/// The default ruleset with its beat, at f = 1000, on all cores and on one.
fn beat(ticks: u64, report: &mut impl FnMut(Row)) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (all, one) = (crate::world(1000, None, cores), crate::world(1000, None, 1));
    let burst = |world: &World| seconds(|| (0..16).for_each(|_| step(world)));
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ticks / 16 {
        rates[0].push(burst(&all));
        rates[1].push(burst(&one));
    }
    let [all, one] = rates.map(|mut times| {
        times.sort_by(f64::total_cmp);
        16.0 / times[times.len() / 2]
    });
    report(row("field_beat", "updates_per_s", all, Some(("one_thread", one))));
}

/// A hundred million cells at f = 3162 on two threads.
fn hundred_million(report: &mut impl FnMut(Row)) {
    let world = crate::world(3162, None, 2);
    let [seconds] = medians(5, [&mut || (0..16).for_each(|_| step(&world))]);
    report(row("field_100m", "updates_per_s", 16.0 / seconds, None));
}
