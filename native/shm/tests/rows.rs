//! World segments: versions, the pin, the fence, and what a broken writer may leave behind.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use shm::rows::{Cells, Fenced, PinError, ReadError, Rows, Shape};
use shm::{Corrupt, Segment};

const SHAPE: Shape = Shape { long: 6, len: 13, single: 2, saved: 3 };
const LEASE: Duration = Duration::from_secs(600);
/// Only to notice a test that hangs.
const WATCHDOG: Duration = Duration::from_secs(120);

/// What a row holds since `stamp`: any mixture of two versions differs from all of these.
fn content(row: u32, stamp: u64, len: u32) -> Cells {
    let word = |n: u32| (stamp + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(row ^ n << 7));
    Cells {
        codes: (0..len).map(|n| (word(n) >> 40) as u8).collect(),
        amounts: (0..len).map(|n| (word(n) >> 16) as u16).collect(),
    }
}

/// A row acts in every third tick, at its own time.
fn acts(row: u32, tick: u64) -> bool {
    (tick + u64::from(row)).is_multiple_of(3)
}

/// Since when a row holds what it holds at `tick`.
fn since(row: u32, tick: u64) -> u64 {
    (0..tick).rev().find(|&tick| acts(row, tick)).map_or(0, |tick| tick + 1)
}

fn fill(rows: &Rows) {
    for row in 0..rows.shape().rows() {
        let Cells { codes, amounts } = content(row, 0, rows.shape().len(row));
        rows.rewrite(row, 0, &codes, &amounts);
    }
    rows.set_ready();
}

/// One tick, as far as `until` of its rows.
fn act(rows: &Rows, tick: u64, until: u32) {
    let needed = rows.needed();
    for row in (0..until).filter(|&row| acts(row, tick)) {
        let Cells { codes, amounts } = content(row, tick + 1, rows.shape().len(row));
        rows.write(row, tick, needed, &codes, &amounts);
    }
}

fn tick(rows: &Rows) -> Result<u64, Fenced> {
    let tick = rows.published().unwrap();
    act(rows, tick, rows.shape().rows());
    rows.publish(tick + 1)?;
    Ok(tick + 1)
}

fn ticks(rows: &Rows, n: u32) {
    for _ in 0..n {
        tick(rows).unwrap();
    }
}

fn assert_is(rows: &Rows, tick: u64) {
    let mut cells = Cells::default();
    for row in 0..rows.shape().rows() {
        let version = rows.read(row, tick, &mut cells).unwrap();
        assert_eq!(version.stamp, since(row, tick));
        assert_eq!(cells, content(row, version.stamp, rows.shape().len(row)), "row {row} at {tick}");
        let col = rows.shape().len(row) - 1;
        let last = (cells.codes[col as usize], cells.amounts[col as usize]);
        assert_eq!(rows.read_cell(row, tick, col).map(|(_, code, amount)| (code, amount)), Ok(last));
    }
}

fn copy(rows: &Rows) -> Segment {
    let fd = rows.segment().fd().unwrap().try_clone_to_owned().unwrap();
    Segment::open(fd, rows.segment().len()).unwrap()
}

#[test]
fn rows_hold_what_was_written_and_a_tick_appears_at_once() {
    for rows in [Rows::private(SHAPE).unwrap(), Rows::shared(SHAPE).unwrap()] {
        assert!(!rows.is_ready());
        fill(&rows);
        assert!(rows.is_ready());
        for _ in 0..20 {
            let now = rows.published().unwrap();
            act(&rows, now, SHAPE.rows());
            assert_is(&rows, now);
            rows.publish(now + 1).unwrap();
            assert_is(&rows, now + 1);
        }
    }
}

#[test]
fn a_tick_that_ends_half_way_leaves_no_trace_to_its_successor() {
    let rows = Rows::shared(SHAPE).unwrap();
    fill(&rows);
    ticks(&rows, 7);
    for until in 0..SHAPE.rows() {
        let now = rows.published().unwrap();
        act(&rows, now, until);
        assert_is(&rows, now);
        rows.fence_off().unwrap();
        let successor = Rows::open(copy(&rows), SHAPE).unwrap();
        assert!(successor.is_ready());
        assert_eq!(tick(&successor), Ok(now + 1));
        assert_is(&rows, now + 1);
        assert_eq!(rows.publish(now + 2), Err(Fenced), "the fenced one came back");
        assert_is(&successor, now + 1);
    }
}

#[test]
fn only_a_segment_of_this_shape_is_opened() {
    let rows = Rows::shared(SHAPE).unwrap();
    let other = Shape { len: 14, ..SHAPE };
    assert!(Rows::open(copy(&rows), other).is_err());
    assert!(Rows::open(copy(&rows), SHAPE).is_ok());
    assert_eq!(rows.check(), Ok(()));
    for at in [4, 8, 64, 72] {
        let word = &rows.segment().words32(at, 1).unwrap()[0];
        let old = word.swap(77, Relaxed);
        assert!(rows.check().is_err(), "{at}");
        assert!(Rows::open(copy(&rows), SHAPE).is_err(), "{at}");
        word.store(old, Relaxed);
    }
}

#[test]
fn a_pinned_tick_stays_readable_from_the_side_buffer() {
    let rows = Rows::shared(SHAPE).unwrap();
    fill(&rows);
    ticks(&rows, 4);
    let pin = rows.pin(LEASE).unwrap();
    assert!(matches!(rows.pin(LEASE), Err(PinError::Taken)));
    // After four more ticks the rows that acted twice are gone from their versions, and are three at most.
    ticks(&rows, 4);
    let (mut cells, mut gone) = (Cells::default(), 0);
    for row in 0..SHAPE.rows() {
        pin.read(row, &mut cells).unwrap();
        assert_eq!(cells, content(row, since(row, 4), SHAPE.len(row)), "row {row}");
        gone += u32::from(pin.stamp(row).is_none());
    }
    assert!((1..=SHAPE.saved).contains(&gone), "{gone} rows were read from the side buffer");
    drop(pin);
    assert!(rows.needed().is_none());
    assert_eq!(rows.pin(LEASE).unwrap().tick, 8);
}

#[test]
fn a_pin_that_needs_too_much_or_lasts_too_long_breaks() {
    let rows = Rows::shared(SHAPE).unwrap();
    fill(&rows);
    ticks(&rows, 4);
    let read = |pin: &shm::rows::Pin<'_>| -> Vec<_> {
        (0..SHAPE.rows()).map(|row| pin.read(row, &mut Cells::default()).map(drop)).collect()
    };
    let pin = rows.pin(LEASE).unwrap();
    ticks(&rows, 9);
    assert!(read(&pin).iter().all(|row| *row == Err(ReadError::Overtaken)), "{:?}", read(&pin));
    drop(pin);
    let pin = rows.pin(Duration::ZERO).unwrap();
    ticks(&rows, 9);
    assert!(read(&pin).contains(&Err(ReadError::Overtaken)));
    // A pin whose lease is over does not keep the next one out, and dropping it does not end that one.
    let next = rows.pin(LEASE).unwrap();
    drop(pin);
    assert!(rows.needed().is_some());
    drop(next);
}

#[test]
fn long_reads_beside_a_writer_see_one_tick() {
    let shape = Shape { long: 64, len: 40, single: 2, saved: 20 };
    let rows = Rows::shared(shape).unwrap();
    fill(&rows);
    let stop = AtomicBool::new(false);
    let (mut whole, mut broken) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                tick(&rows).unwrap();
                // Between the speeds at which every pin holds and every pin breaks.
                if rows.published().unwrap().is_multiple_of(8) {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        });
        let start = Instant::now();
        let mut cells = Cells::default();
        while whole < 300 && start.elapsed() < WATCHDOG {
            let pin = rows.pin(LEASE).unwrap();
            let one_tick = (0..shape.rows()).all(|row| match pin.read(row, &mut cells) {
                Ok(_) => {
                    assert_eq!(cells, content(row, since(row, pin.tick), shape.len(row)), "row {row}");
                    true
                }
                Err(ReadError::Overtaken) => false,
                Err(error) => panic!("{error}"),
            });
            if one_tick { whole += 1 } else { broken += 1 }
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(whole, 300, "{broken} reads were overtaken");
}

proptest! {
    /// A stray write into the published tick is noticed, or was the tick.
    #[test]
    fn a_wrong_published_tick_is_noticed(bit in 0..64u32, tick in 0..1u64 << 53) {
        let rows = Rows::private(SHAPE).unwrap();
        rows.publish(tick).unwrap();
        prop_assert_eq!(rows.published(), Ok(tick));
        let word = &rows.segment().words64(128, 1).unwrap()[0];
        word.store(word.load(Relaxed) ^ 1 << bit, Relaxed);
        prop_assert!(matches!(rows.published(), Err(Corrupt { .. })), "bit {}", bit);
    }

    /// Whatever stands in the segment, reading it is an answer or an error.
    #[test]
    fn garbage_is_survived(writes in prop::collection::vec((0usize..4096, any::<u64>()), 1..200)) {
        let rows = Rows::shared(SHAPE).unwrap();
        fill(&rows);
        ticks(&rows, 5);
        let words = rows.segment().words64(0, SHAPE.bytes() / 8).unwrap();
        for (at, value) in writes {
            words[at % words.len()].store(value, Relaxed);
        }
        let _ = (rows.check(), rows.needed(), Rows::open(copy(&rows), SHAPE).is_ok());
        let now = rows.published().unwrap_or(5);
        let mut cells = Cells::default();
        for row in 0..SHAPE.rows() {
            let _ = rows.read(row, now, &mut cells);
            let _ = (rows.read_cell(row, now, 0), rows.fault(row));
            act(&rows, now.min(1 << 52), SHAPE.rows());
        }
        if let Ok(pin) = rows.pin(LEASE) {
            for row in 0..SHAPE.rows() {
                let _ = (pin.read(row, &mut cells), pin.stamp(row), pin.read_before(row, 1, &mut cells));
            }
        }
    }
}

/// Set in the process that is the writer; its standard input is the socket.
const WRITER: &str = "SHM_TEST_WRITER";

/// The other process: ticks until it is killed.
#[test]
fn writer() {
    if std::env::var_os(WRITER).is_none() {
        return;
    }
    use std::os::fd::AsFd;
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let (_, mut segments) = shm::handover::receive(&socket).unwrap();
    let (fd, len) = segments.pop().unwrap();
    let rows = Rows::open(Segment::open(fd, len).unwrap(), SHAPE).unwrap();
    while tick(&rows).is_ok() {}
}

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_writer_killed_at_any_time_leaves_a_whole_tick() {
    let rows = Rows::shared(SHAPE).unwrap();
    fill(&rows);
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
        let segment = rows.segment();
        shm::handover::send(&ours, 7, &[(segment.fd().unwrap(), segment.len())]).unwrap();
        let (before, start) = (rows.published().unwrap(), Instant::now());
        while rows.published().unwrap() < before + 1 + n * 997 {
            assert!(start.elapsed() < WATCHDOG);
            std::hint::spin_loop();
        }
        drop(peer);
        assert_is(&rows, rows.published().unwrap());
        rows.fence_off().unwrap();
    }
}
