//! Bytes that no border of ours would send, and memory that no worker of ours would leave.

mod support;

use std::sync::atomic::Ordering::Relaxed;

use hexworld::World;
use hexworld::factory::BatchError;
use proptest::prelude::*;
use support::plant::{Plant, still_ruleset};
use support::{advance, cases, opened};

/// A plant with some of everything that is kept.
fn plant() -> Plant {
    let plant = Plant::shared(still_ruleset(), &[((1, 0), "ferrite", 500)]);
    plant.build(&[
        ((1, 0), "extractor", 3, "mine_ore"),
        ((0, 0), "depot", 0, "ore"),
        ((0, 1), "crossing", 0, ""),
        ((1, -1), "furnace", 2, ""),
        ((2, 0), "dynamo", 0, ""),
    ]);
    plant.run(100);
    plant
}

#[test]
fn a_batch_for_another_tick_is_late_or_refused() {
    let plant = plant();
    let batch = plant.batch().bytes();
    assert_eq!(plant.world.act(99, &batch), Ok(()));
    assert_eq!(plant.world.act(100, &batch), Ok(()));
    assert_eq!(plant.world.act(101, &batch), Err(BatchError::Early { batch: 101, tick: 100 }));
    let bare = World::new(hexworld::WorldOptions::new(4, 1, {
        let mut ruleset = still_ruleset();
        ruleset.economy = None;
        ruleset
    }));
    assert_eq!(bare.unwrap().act(0, &batch), Err(BatchError::NoEconomy));
}

/// However many actions a player sends, what is made for them beforehand is small.
#[test]
fn a_flood_of_actions_takes_little_memory() {
    let plant = plant();
    plant.world.reserve(65_535).unwrap();
    let bytes: usize = plant.world.segments()[1..].iter().map(|segment| segment.len()).sum();
    assert!(bytes < 16 << 20, "{bytes} bytes");
    let mut batch = plant.batch();
    for n in 0..65_535 {
        batch.push_as(&format!("{n:064}"), 4, &[&7u32.to_le_bytes()]);
    }
    plant.world.act(100, &batch.bytes()).unwrap();
    advance(&plant.world, 101);
    assert_eq!(plant.world.outcomes(100).unwrap().len(), 128);
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_mangled_batch_is_refused_or_taken(at: prop::sample::Index, put: u8, cut: prop::sample::Index) {
        let plant = Plant::new(&[]);
        let mut batch = plant.batch();
        let home = plant.cell((0, 0));
        batch.join(home).claim(home).place(home, "depot", 0).recipe(home, "iron").put(home, "iron", 3);
        batch.craft("cut_gear", 2).take(home, "iron", 1);
        let mut bytes = batch.bytes();
        let at = at.index(bytes.len());
        bytes[at] = put;
        bytes.truncate(cut.index(3 * bytes.len()).max(1));
        plant.world.reserve(8).unwrap();
        let taken = plant.world.act(0, &bytes);
        prop_assert!(matches!(taken, Ok(()) | Err(BatchError::Action(_))), "{:?}", taken);
        advance(&plant.world, 50);
        prop_assert!(plant.world.check().is_ok());
    }

    #[test]
    fn any_bytes_are_no_batch_or_an_odd_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let plant = Plant::new(&[]);
        let _ = plant.world.act(0, &bytes);
        advance(&plant.world, 3);
    }
}

proptest! {
    #![proptest_config(cases(48))]

    /// Readers answer or refuse, and a successor loads it or refuses, whatever stands there.
    #[test]
    fn broken_objects_harm_nobody(words in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..60)) {
        let plant = plant();
        let segments = plant.world.segments();
        let cards = segments[1];
        let all = cards.words64(0, cards.len() / 8).unwrap();
        for (at, value) in &words {
            // Past the header, whose damage is another matter.
            let word = &all[16 + at.index(all.len() - 16)];
            // Often only a byte of what is there.
            let value = if value % 3 == 0 { *value } else { word.load(Relaxed) ^ (value & 0xff) << (8 * (value % 8)) };
            word.store(value, Relaxed);
        }
        let cells: Vec<u32> = (0..plant.world.sphere().cells()).collect();
        let _ = plant.world.sites(&cells);
        let _ = plant.world.players();
        let _ = plant.world.outcomes(0);
        let successor = opened(&plant.world);
        if successor.check().is_ok() && successor.advance(110, || true).is_ok() {
            prop_assert!(successor.digest().is_ok());
        }
    }
}
