//! What a broken writer may leave in the segments.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use proptest::prelude::*;
use shm::Segment;
use shm::cards::{Cards, MAX_OBJECT, ReadError};

use crate::{Objects, WATCHDOG, content, copy, get, key, load};

/// Words that are likelier to do harm than any.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 0..8u64,
        2 => (0..4u64, 0..70u64).prop_map(|(kind, number)| key(kind, number)),
        1 => (0..4u64, 0..70u64).prop_map(|(part, number)| key(1, number) | part << 48),
        1 => Just(u64::MAX),
        1 => any::<u64>(),
        1 => 0..0xffffu64,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever stands in the segments: answers or errors, and soon.
    #[test]
    fn garbage_is_survived(
        writes in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..200),
        wild in any::<bool>(),
        keys in prop::collection::vec((0..64usize, any::<u64>()), 0..48),
    ) {
        let cards = Cards::shared(32).unwrap();
        cards.extend().unwrap();
        for number in 0..40 {
            cards.put(key(1, number), number % 5, &content(number, 0, number as usize * 4 % 130)).unwrap();
        }
        for segment in cards.segments() {
            let words = segment.words64(64, segment.len() / 8 - 8).unwrap();
            for (at, value) in &writes {
                let at = if wild { at.index(words.len()) } else { at.index(200) };
                words[at].store(*value, Relaxed);
            }
            let words = segment.words64(192, 32).unwrap();
            for (at, value) in &keys {
                words[at % 32].store(*value, Relaxed);
            }
        }
        let start = Instant::now();
        let mut object = Vec::new();
        for tick in [0, 5, 6, 1 << 60] {
            for number in 0..40 {
                let _ = cards.get(key(1, number), tick, &mut object);
            }
            let _ = cards.scan(tick, |_, object| assert!(object.len() <= MAX_OBJECT));
        }
        let _ = (cards.free(), cards.check());
        let _ = Cards::open(cards.segments().map(copy).collect())
            .map(|cards| cards.load(5, |_, _, object| assert!(object.len() <= MAX_OBJECT)));
        for number in 0..40 {
            let _ = cards.put(key(1, number), 5, &content(number, 0, number as usize * 7));
            cards.delete(key(1, number), 6);
            cards.tidy(8);
        }
        prop_assert!(start.elapsed() < WATCHDOG);
    }
}

/// Wherever a load does not object, there is a table: what it told is what is read, and it can be written.
fn assert_is_table_if_loaded(cards: &Cards, tick: u64) -> bool {
    let cards = Cards::open(cards.segments().map(copy).collect()).unwrap();
    let mut objects = Objects::new();
    if cards.load(tick, |key, _, object| assert_eq!(objects.insert(key, object.to_vec()), None)).is_err() {
        return false;
    }
    for (&key, object) in &objects {
        assert_eq!(get(&cards, key, tick).as_ref(), Ok(&Some(object.clone())), "{key:#x}");
    }
    for number in 0..cards.free() {
        let key = key(9, number);
        cards.put(key, tick, &[number as u8; 9]).unwrap();
        objects.insert(key, vec![number as u8; 9]);
    }
    for key in (0..40).map(|number| key(1, number)) {
        cards.delete(key, tick);
        objects.remove(&key);
    }
    assert_eq!(load(&cards, tick + 1), objects);
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Little garbage, which a load may not notice.
    #[test]
    fn what_is_loaded_is_a_table(
        writes in prop::collection::vec((any::<prop::sample::Index>(), word(), 0..4u8), 0..4),
    ) {
        let cards = Cards::shared(32).unwrap();
        cards.extend().unwrap();
        for number in 0..40 {
            cards.put(key(1, number), number % 5, &content(number, 0, number as usize * 4 % 130)).unwrap();
        }
        for (at, value, part) in &writes {
            let segment = cards.segments().nth(at.index(2)).unwrap();
            // Anywhere, among the keys, or in one version of a card, where heads and stamps are.
            let words = segment.words64(128, segment.len() / 8 - 16).unwrap();
            let at = match part {
                0 => at.index(words.len()),
                1 => at.index(48),
                _ => 48 + at.index(words.len() / 8 - 6) * 8 + usize::from(part - 2),
            };
            words[at.min(words.len() - 1)].store(*value, Relaxed);
        }
        let loaded = assert_is_table_if_loaded(&cards, 5);
        prop_assert!(loaded || !writes.is_empty());
    }

    /// Bytes that are a table in nothing but the header.
    #[test]
    fn random_bytes_are_survived(
        seed in any::<u64>(), capacity in 3..11u32, mask in prop_oneof![Just(u64::MAX), any::<u64>(), 0..0x1_0000u64],
        rare in 1..20u64,
    ) {
        let cards = Cards::shared(1 << capacity).unwrap();
        cards.extend().unwrap();
        let mut random = seed;
        for segment in cards.segments() {
            for word in segment.words64(128, segment.len() / 8 - 16).unwrap() {
                random = random.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
                if (random >> 40).is_multiple_of(rare) {
                    word.store((random ^ random >> 32) & mask, Relaxed);
                }
            }
        }
        let (start, mut object) = (Instant::now(), Vec::new());
        for number in 0..50 {
            let _ = (cards.get(key(1, number), seed >> 20, &mut object), cards.get(key(1, number), 0, &mut object));
        }
        let words = cards.segments().next().unwrap().words64(192, 1 << capacity).unwrap();
        for key in words.iter().map(|word| word.load(Relaxed)).filter(|key| key >> 56 != 0).take(50) {
            let _ = cards.get(key & !(0xff << 48), seed >> 20, &mut object);
        }
        assert_is_table_if_loaded(&cards, seed >> 20);
        prop_assert!(start.elapsed() < WATCHDOG);
    }
}

/// Another process that writes anything at any time.
#[test]
fn a_writer_gone_mad_harms_no_reader() {
    let cards = Cards::shared(64).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let copies: Vec<Segment> = cards.segments().map(copy).collect();
            let words = copies[0].words64(128, copies[0].len() / 8 - 16).unwrap();
            let mut random = 7u64;
            while !stop.load(Relaxed) {
                random = random.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
                let (at, value) = ((random >> 40) as usize % words.len(), random >> 33 & 63);
                words[at].store(
                    if at.is_multiple_of(3) { key(1, value) | (value % 3) << 48 } else { value },
                    Relaxed,
                );
            }
        });
        let mut object = Vec::new();
        for n in 0..20_000 {
            let _ = cards.get(key(1, n % 64), n % 70, &mut object);
            if n.is_multiple_of(16) {
                let _ = (cards.load(n % 70, |_, _, _| ()), cards.free());
            }
        }
        stop.store(true, Relaxed);
    });
}

/// A table made to be slow: every key leads across all the others.
#[test]
fn a_table_without_an_end_is_given_up() {
    let cards = Cards::shared(1 << 17).unwrap();
    let segment = cards.segments().next().unwrap();
    let keys = segment.words64(192, 1 << 17).unwrap();
    for fill in [1.0, 0.75] {
        for (slot, word) in keys.iter().enumerate() {
            let taken = slot as f64 / keys.len() as f64 <= fill;
            word.store(if taken { key(1, slot as u64) } else { 0 }, Relaxed);
        }
        assert!(cards.load(5, |_, _, _| ()).is_err());
        // Almost all begin far from the next empty one.
        let given_up = (0..100).filter(|&number| match get(&cards, key(2, number), 5) {
            Err(ReadError::Corrupt(corrupt)) => corrupt.what == "way to a card",
            other => other == Ok(None) && fill < 1.0,
        });
        assert_eq!(given_up.count(), 100);
    }
}
