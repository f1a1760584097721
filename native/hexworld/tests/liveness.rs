//! x
mod support;
use hexworld::{World, WorldOptions};
use support::{advance, default_ruleset, state};
#[test]
fn explore() {
    for at in [0u64, 16, 100, 160, 200, 320, 500, 640, 800, 1000, 1600, 2000, 2500,3000, 3200, 4000, 5000, 6000, 8000, 10000, 20000] { for rock in [false, true] {
        let mut world = World::new(WorldOptions::new(64, 3, default_ruleset())).unwrap();
        world.generate(|| true).unwrap();
        advance(&world, at);
        let cells = 2 * 64 * 64..3 * 64 * 64u32;
        let s = state(&world);
        for cell in cells.clone() {
            let k = s.cell(cell).0;
            if k != 1 && k != 6 && (rock || k != 0) { world.harvest(cell, u16::MAX); }
        }
        let mut out = vec![];
        for t in [2000, 6000, 10000] {
            advance(&world, at + t);
            let s = state(&world);
            let mut n = [0u32; 8];
            for c in cells.clone() { n[s.cell(c).0 as usize] += 1; }
            out.push([2,3,5,7].map(|k| (f64::from(n[k]) / 40.96 * 10.0).round() / 10.0));
        }
        println!("{at} {rock} {out:?}");
    }}
}
