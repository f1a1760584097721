//! Criterion suite of the tick kernel and of what surrounds it.

use std::hint::black_box;

use bench::rivals::{NeighbourTable, Stub};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hexworld::{Ruleset, World};

fn step(world: &World) {
    world.advance(world.tick().unwrap() + 1, || true).expect("nobody else ticks it");
}

fn dense(c: &mut Criterion) {
    let mut group = c.benchmark_group("field_dense");
    let world = bench::world(1000, Some(1), 1);
    group.throughput(Throughput::Elements(u64::from(world.sphere().cells()))).sample_size(10);
    let mut table = NeighbourTable::new(&world);
    let mut stub = Stub::new(world.sphere());
    let mut tick = 0;
    group.bench_function("diamonds", |b| b.iter(|| step(&world)));
    group.bench_function("neighbour_table", |b| {
        b.iter(|| {
            table.step(tick);
            tick += 1;
        });
    });
    group.bench_function("stub", |b| b.iter(|| stub.step()));
    group.bench_function("memcpy", |b| b.iter(|| stub.copy()));
    let threads = bench::world(1000, Some(1), 2);
    group.bench_function("diamonds_2_threads", |b| b.iter(|| step(&threads)));
    group.finish();
}

fn beat(c: &mut Criterion) {
    let mut group = c.benchmark_group("field_beat");
    group.sample_size(20);
    for frequency in [64, 1000] {
        let world = bench::world(frequency, None, 1);
        group.throughput(Throughput::Elements(u64::from(world.sphere().cells())));
        group.bench_function(format!("f{frequency}"), |b| b.iter(|| step(&world)));
    }
    group.finish();
}

fn around(c: &mut Criterion) {
    let world = bench::world(200, None, 1);
    c.bench_function("digest_f200", |b| b.iter(|| black_box(world.digest())));
    c.bench_function("generate_f64", |b| b.iter(|| black_box(bench::world(64, None, 1))));
    let text = include_str!("../../priv/rulesets/default.toml");
    c.bench_function("ruleset_parse", |b| b.iter(|| black_box(Ruleset::parse(black_box(text)))));
}

criterion_group!(benches, dense, beat, around);
criterion_main!(benches);
