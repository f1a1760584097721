//! Cards: objects that come, change and go, against a map; readers beside a writer; a writer that is killed.

mod garbage;
mod model;
mod shared;

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use shm::Segment;
use shm::cards::{Cards, CardsError, Full, MAX_EXTENTS, MAX_OBJECT, ReadError};

/// Only to notice a test that hangs.
const WATCHDOG: Duration = Duration::from_secs(120);

type Objects = HashMap<u64, Vec<u8>>;

fn key(kind: u64, number: u64) -> u64 {
    kind << 56 | number
}

/// Bytes that only this object has at this tick.
fn content(key: u64, tick: u64, len: usize) -> Vec<u8> {
    let mut word = (key ^ tick << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        word = word.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (word >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn copy(segment: &Segment) -> Segment {
    Segment::open(segment.fd().unwrap().try_clone_to_owned().unwrap(), segment.len()).unwrap()
}

fn reopen(cards: &Cards) -> Cards {
    Cards::open(cards.segments().map(copy).collect()).unwrap()
}

fn load(cards: &Cards, tick: u64) -> Objects {
    let mut objects = Objects::new();
    cards
        .load(tick, |key, _, object| assert_eq!(objects.insert(key, object.to_vec()), None, "{key:#x} twice"))
        .unwrap();
    objects
}

fn get(cards: &Cards, key: u64, tick: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let mut object = vec![1, 2, 3];
    cards.get(key, tick, &mut object).map(|found| found.then_some(object))
}

#[test]
fn an_object_appears_changes_and_goes_with_its_tick() {
    for cards in [Cards::private(8).unwrap(), Cards::shared(8).unwrap()] {
        let key = key(1, 77);
        for (n, len) in (0..).zip([0, 1, 53, 54, 55, 108, 109, 240, 3]) {
            let tick = n * 10;
            assert_eq!(get(&cards, key, tick), Ok(None));
            let object = content(key, tick, len);
            cards.put(key, tick, &object).unwrap();
            assert_eq!(get(&cards, key, tick), Ok(None), "{len} bytes are not published");
            assert_eq!(get(&cards, key, tick + 1), Ok(Some(object.clone())));
            let card = cards.find_or_take(key, tick + 1).unwrap();
            cards.write(card, tick + 1, b"other").unwrap();
            assert_eq!(get(&cards, key, tick + 1), Ok(Some(object)));
            assert_eq!(get(&cards, key, tick + 2), Ok(Some(b"other".into())));
            cards.delete(key, tick + 2);
            assert_eq!(get(&cards, key, tick + 2), Ok(Some(b"other".into())));
            assert_eq!(get(&cards, key, tick + 3), Ok(None));
            cards.tidy(tick + 3);
            assert_eq!(cards.free(), 6, "{len} bytes leave nothing");
        }
        cards.delete(key, 9999);
    }
}

#[test]
fn the_last_call_of_a_tick_counts() {
    let cards = Cards::private(64).unwrap();
    let key = key(200, (1 << 48) - 1);
    cards.put(key, 4, &[1; 200]).unwrap();
    cards.delete(key, 4);
    cards.put(key, 4, &[2; 100]).unwrap();
    cards.put(key, 4, &[3; 300]).unwrap();
    assert_eq!(get(&cards, key, 4), Ok(None));
    assert_eq!(get(&cards, key, 5), Ok(Some(vec![3; 300])));
    cards.put(key, 5, &[4; 60]).unwrap();
    cards.delete(key, 5);
    assert_eq!(get(&cards, key, 5), Ok(Some(vec![3; 300])));
    assert_eq!(get(&cards, key, 6), Ok(None));
}

#[test]
fn parts_that_stay_the_same_are_not_written() {
    let cards = Cards::private(64).unwrap();
    let key = key(1, 1);
    let mut object = content(key, 0, 200);
    cards.put(key, 0, &object).unwrap();
    // What is written twice leaves no way back to what was before; what is not written, does.
    for tick in 1..9 {
        cards.put(key, tick, &object).unwrap();
    }
    assert_eq!(get(&cards, key, 1), Ok(Some(object.clone())));
    let before = object.clone();
    object[199] ^= 1;
    cards.put(key, 9, &object).unwrap();
    assert_eq!(get(&cards, key, 1), Ok(Some(before)));
    assert_eq!(get(&cards, key, 10), Ok(Some(object)));
}

#[test]
fn a_full_table_says_so_and_changes_nothing() {
    let cards = Cards::private(8).unwrap();
    cards.put(key(1, 0), 0, &[7; 100]).unwrap();
    for number in 1..5 {
        cards.put(key(1, number), 0, b"x").unwrap();
    }
    assert_eq!(cards.free(), 0);
    assert_eq!(cards.put(key(1, 9), 0, b"x"), Err(Full));
    assert_eq!(cards.put(key(1, 0), 1, &[8; 109]), Err(Full));
    assert_eq!(get(&cards, key(1, 0), 2), Ok(Some(vec![7; 100])));
    let more = cards.extend().unwrap();
    assert!(more.fd().is_none());
    assert_eq!(cards.free(), 12);
    cards.put(key(1, 0), 1, &[8; 109]).unwrap();
    assert_eq!(get(&cards, key(1, 0), 2), Ok(Some(vec![8; 109])));
    // A removed object's card is for any key that comes by, once that is published.
    for number in 1..5 {
        cards.delete(key(1, number), 2);
    }
    let before = cards.free();
    cards.tidy(3);
    assert!(cards.free() > before);
    for number in 100..100 + cards.free() {
        cards.put(key(2, number), 3, b"y").unwrap();
    }
}

#[test]
fn what_is_no_table_is_refused() {
    assert!(matches!(Cards::open(vec![]), Err(CardsError::Extents(0))));
    for capacity in [(1 << 24) + 1, usize::MAX] {
        assert!(matches!(Cards::private(capacity), Err(CardsError::Capacity(_))), "{capacity}");
    }
    let cards = Cards::shared(8).unwrap();
    assert!(Cards::open(vec![Segment::create(c"none", 4096).unwrap()]).is_err());
    for (at, value) in [(4, 7), (8, 1), (64, 3), (64, 4), (64, 0), (64, 16), (64, 1 << 24), (64, 1 << 31)] {
        let word = &cards.segments().next().unwrap().words32(at, 1).unwrap()[0];
        let old = word.swap(value, Relaxed);
        assert!(cards.check().is_err(), "{value} at {at}");
        assert!(Cards::open(cards.segments().map(copy).collect()).is_err(), "{value} at {at}");
        word.store(old, Relaxed);
    }
    for n in 1..MAX_EXTENTS {
        cards.attach(copy(cards.segments().next().unwrap())).unwrap_or_else(|error| panic!("{n}: {error}"));
    }
    assert!(matches!(cards.extend(), Err(CardsError::Extents(_))));
    // The same extent twice: no key is where it is looked for.
    cards.put(key(1, 1), 0, b"x").unwrap();
    assert!(cards.load(1, |_, _, _| ()).is_err());
}

#[test]
fn the_longest_object_comes_back() {
    let cards = Cards::shared(512).unwrap();
    let object = content(3, 3, MAX_OBJECT);
    cards.put(key(3, 3), 0, &object).unwrap();
    assert_eq!(get(&cards, key(3, 3), 1), Ok(Some(object.clone())));
    assert_eq!(load(&reopen(&cards), 1), Objects::from([(key(3, 3), object)]));
}
