//! Readers in threads and processes, and a writer that is killed.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use shm::Segment;
use shm::cards::{Cards, ReadError};

use crate::{Objects, WATCHDOG, content, get, key, load, reopen};

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
            .args(["--exact", "shared::writer", "--nocapture", "--test-threads=1"])
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
