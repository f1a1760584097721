//! A table against a map.

use std::collections::VecDeque;

use proptest::prelude::*;
use shm::cards::{Cards, ReadError};

use crate::{Objects, content, copy, get, key, load, reopen};

#[derive(Debug, Clone)]
enum Op {
    Put(u64, usize),
    Write(u64, usize),
    Delete(u64),
    Publish,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || (1..3u64, 0..40u64).prop_map(|(kind, number)| key(kind, number));
    let len = || prop_oneof![4 => 0..60usize, 1 => 0..400usize];
    prop_oneof![
        8 => (key(), len()).prop_map(|(key, len)| Op::Put(key, len)),
        4 => (key(), len()).prop_map(|(key, len)| Op::Write(key, len)),
        8 => key().prop_map(Op::Delete),
        4 => Just(Op::Publish),
        1 => Just(Op::Crash),
    ]
}

/// The table, a reader's view of it, and what it should hold: at the published ticks, and in the next.
struct Model {
    cards: Cards,
    reader: Cards,
    tick: u64,
    past: VecDeque<Objects>,
    next: Objects,
}

impl Model {
    fn new() -> Self {
        let cards = Cards::shared(8).unwrap();
        Model { reader: reopen(&cards), cards, tick: 0, past: [Objects::new()].into(), next: Objects::new() }
    }

    fn room(&self, need: u64) {
        while self.cards.free() < need {
            self.reader.attach(copy(self.cards.extend().unwrap())).unwrap();
        }
    }

    fn apply(&mut self, op: Op) {
        let tick = self.tick;
        match op {
            Op::Put(key, len) => {
                self.room(8);
                let object = content(key, tick, len);
                self.cards.put(key, tick, &object).unwrap();
                self.next.insert(key, object);
            }
            Op::Write(key, len) => {
                self.room(8);
                let object = content(key, tick + 1, len);
                let card = self.cards.find_or_take(key, tick).unwrap();
                self.cards.write(card, tick, &object).unwrap();
                self.next.insert(key, object);
            }
            Op::Delete(key) => {
                self.cards.delete(key, tick);
                self.next.remove(&key);
            }
            Op::Publish => {
                self.tick += 1;
                self.past.push_back(self.next.clone());
                if self.past.len() > 4 {
                    self.past.pop_front();
                }
            }
            Op::Crash => {
                self.cards = reopen(&self.cards);
                self.next = self.past.back().unwrap().clone();
                assert_eq!(load(&self.cards, tick), self.next);
            }
        }
    }

    fn check(&self) {
        let mut all = Objects::new();
        let scanned = self.reader.scan(self.tick, |key, object| {
            assert_eq!(all.insert(key, object.to_vec()), None, "{key:#x} twice");
        });
        assert_eq!((scanned, Some(&all)), (Ok(()), self.past.back()));
        for (back, objects) in self.past.iter().rev().enumerate() {
            let tick = self.tick - back as u64;
            for key in (0..80).map(|n| key(1 + n / 40, n % 40)) {
                let expected = objects.get(&key).cloned();
                match get(&self.reader, key, tick) {
                    // What is past may be gone, and is never told wrong.
                    Err(ReadError::Overtaken) if back > 0 => {}
                    found => assert_eq!(found, Ok(expected), "{key:#x}, {back} ticks ago"),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is written, published and lost: a reader sees the published state, and so does a successor.
    #[test]
    fn a_table_is_a_map_at_every_tick(ops in prop::collection::vec(op(), 1..300)) {
        let mut model = Model::new();
        for op in ops {
            let look = !matches!(op, Op::Put(..) | Op::Write(..)) || model.tick.is_multiple_of(3);
            model.apply(op);
            if look {
                model.check();
            }
        }
        let extents = model.cards.segments().count();
        model.apply(Op::Publish);
        model.apply(Op::Crash);
        prop_assert!(extents <= 8, "{} extents for 80 objects", extents);
    }
}
