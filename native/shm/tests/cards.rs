//! Cards: objects that come, change and go, against a map; readers beside a writer; a writer that is killed.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use proptest::prelude::*;
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

/// A table made to be slow: every key leads across all the others.
#[test]
fn a_table_without_an_end_is_given_up() {
    let cards = Cards::shared(1 << 17).unwrap();
    let segment = cards.segments().next().unwrap();
    let keys = segment.words64(192, 1 << 17).unwrap();
    for fill in [1.0, 0.75] {
        for (slot, word) in keys.iter().enumerate() {
            word.store(
                if slot as f64 / keys.len() as f64 <= fill { key(1, slot as u64) } else { 0 },
                Relaxed,
            );
        }
        assert!(cards.load(5, |_, _, _| ()).is_err());
        let mut object = Vec::new();
        for number in 0..100 {
            let _ = cards.get(key(2, number), 5, &mut object);
        }
    }
}

/// What the writer of the next two tests does in a tick: some of the objects change, come and go.
fn act(cards: &Cards, tick: u64) {
    for number in (0..OBJECTS).filter(|number| (number + tick).is_multiple_of(3)) {
        let key = key(1, number);
        match expected(number, tick + 1) {
            Some(object) => cards.put(key, tick, &object).unwrap(),
            None => cards.delete(key, tick),
        }
    }
}

const OBJECTS: u64 = 60;

/// An object as it is at `tick`: it knows since when, and whose it is.
fn expected(number: u64, tick: u64) -> Option<Vec<u8>> {
    let acted = (0..tick).rev().take(3).find(|tick| (number + tick).is_multiple_of(3))?;
    let key = key(1, number);
    let len = content(key, acted, 1)[0];
    (len < 200).then(|| content(key, acted, usize::from(len)))
}

#[test]
fn readers_beside_a_writer_see_whole_objects_of_one_tick() {
    let cards = Cards::shared(128).unwrap();
    let (published, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for tick in 0.. {
                while cards.free() < 4 * OBJECTS {
                    cards.extend().unwrap();
                }
                act(&cards, tick);
                published.store(tick + 1, Release);
                if stop.load(Relaxed) {
                    break;
                }
            }
        });
        let readers = [3, 7].map(|step| {
            let (cards, published) = (&cards, &published);
            scope.spawn(move || {
                let (mut whole, mut number, start) = (0, 0, Instant::now());
                while whole < 20_000 && start.elapsed() < WATCHDOG {
                    let tick = published.load(Acquire);
                    number = (number + step) % OBJECTS;
                    match get(cards, key(1, number), tick) {
                        Ok(found) => {
                            assert_eq!(found, expected(number, tick), "{number} at {tick}");
                            whole += 1;
                        }
                        Err(ReadError::Overtaken) => {
                            assert_ne!(published.load(Acquire), tick, "overtaken at the published tick");
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                whole
            })
        });
        let whole = readers.map(|reader| reader.join());
        stop.store(true, Relaxed);
        assert_eq!(whole.map(|whole| whole.ok()), [Some(20_000); 2]);
    });
}

#[test]
fn distinct_objects_are_written_by_several_threads() {
    let cards = Cards::private(1 << 12).unwrap();
    for tick in 0..30 {
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let cards = &cards;
                scope.spawn(move || {
                    for number in (0..400).filter(|number| number % 2 == thread) {
                        let key = key(1, number * 7 + tick % 5);
                        cards.put(key, tick, &content(key, tick, (number + tick) as usize % 120)).unwrap();
                        if tick > 2 {
                            cards.delete(self::key(1, number * 7 + (tick - 2) % 5), tick);
                        }
                    }
                });
            }
        });
        for number in 0..400 {
            let key = key(1, number * 7 + tick % 5);
            assert_eq!(
                get(&cards, key, tick + 1),
                Ok(Some(content(key, tick, (number + tick) as usize % 120)))
            );
        }
    }
}

/// Set in the process that is the writer; its standard input is the socket.
const WRITER: &str = "SHM_TEST_CARDS_WRITER";

/// The other process: loads, then ticks until it is killed. The tick is published in a segment of its own.
#[test]
fn writer() {
    if std::env::var_os(WRITER).is_none() {
        return;
    }
    use std::os::fd::AsFd;
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let (_, segments) = shm::handover::receive(&socket).unwrap();
    let mut segments = segments.into_iter().map(|(fd, len)| Segment::open(fd, len).unwrap());
    let clock = segments.next().unwrap();
    let published = &clock.words64(0, 1).unwrap()[0];
    let cards = Cards::open(segments.collect()).unwrap();
    let begin = published.load(Acquire);
    assert_is(&cards, begin);
    for tick in begin.. {
        act(&cards, tick);
        published.store(tick + 1, Release);
    }
}

fn assert_is(cards: &Cards, tick: u64) {
    let objects: Objects =
        (0..OBJECTS).filter_map(|number| Some((key(1, number), expected(number, tick)?))).collect();
    assert_eq!(load(cards, tick), objects, "at {tick}");
}

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_writer_killed_at_any_time_leaves_the_published_objects() {
    let clock = Segment::create(c"clock", 64).unwrap();
    let published = &clock.words64(0, 1).unwrap()[0];
    let cards = Cards::shared(128).unwrap();
    cards.extend().unwrap();
    let (mut free, mut total) = (0, 0);
    for n in 0..20 {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
            .env(WRITER, "1")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Peer(child);
        let segments: Vec<_> = [&clock].into_iter().chain(cards.segments()).collect();
        let fds: Vec<_> = segments.iter().map(|segment| (segment.fd().unwrap(), segment.len())).collect();
        shm::handover::send(&ours, 7, &fds).unwrap();
        let (before, start) = (published.load(Acquire), Instant::now());
        let mut reads = 0;
        while published.load(Acquire) < before + 1 + n * 97 {
            let (tick, number) = (published.load(Acquire), reads % OBJECTS);
            match get(&cards, key(1, number), tick) {
                Ok(found) => assert_eq!(found, expected(number, tick)),
                Err(error) => assert_eq!(error, ReadError::Overtaken),
            }
            reads += 1;
            assert!(start.elapsed() < WATCHDOG);
        }
        drop(peer);
        // What a second process finds is what this one does.
        let tick = published.load(Acquire);
        assert_is(&reopen(&cards), tick);
        free = cards.free();
        total = tick;
    }
    assert!(free > 0 && total > 20, "{free} cards free after {total} ticks");
}
