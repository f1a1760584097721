//! The protocols under every interleaving of two threads that the C11 memory model allows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use shm::bell::Bell;
use shm::claim::Claim;
use shm::ring::Ring;
use shm::slot::{Completion, Poll, Slot};
use shm::sync::{Load32, Load64, Parker, Word32, Word64};

struct W32(AtomicU32);
struct W64(AtomicU64);

impl Load32 for W32 {
    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }
}

impl Word32 for W32 {
    fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order);
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.0.swap(value, order)
    }
    fn compare_exchange(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        self.0.compare_exchange(old, new, success, failure)
    }
}

impl Load64 for W64 {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
}

impl Word64 for W64 {
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }
}

/// A futex: compares and sleeps in one step. Timeouts never end, so a lost wake-up is a deadlock, which loom
/// reports.
#[derive(Default)]
struct Model {
    lock: Mutex<()>,
    woken: Condvar,
}

impl Parker<W32> for Model {
    fn park(&self, word: &W32, expected: u32, _: Option<Duration>) {
        let guard = self.lock.lock().unwrap();
        if word.0.load(Ordering::Relaxed) == expected {
            drop(self.woken.wait(guard).unwrap());
        }
    }
    fn unpark(&self, _: &W32) {
        drop(self.lock.lock().unwrap());
        self.woken.notify_one();
    }
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

fn w32() -> W32 {
    W32(AtomicU32::new(0))
}

fn w64() -> W64 {
    W64(AtomicU64::new(0))
}

struct Shared {
    head: W32,
    tail: W32,
    entries: [W64; 2],
    bell: W32,
    parker: Model,
    slot: W32,
    reply: W64,
    parked: W32,
    down: W32,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Shared {
            head: w32(),
            tail: w32(),
            entries: [w64(), w64()],
            bell: w32(),
            parker: Model::default(),
            slot: w32(),
            reply: w64(),
            parked: w32(),
            down: w32(),
        })
    }

    fn ring(&self) -> Ring<'_, W32, W32, W64> {
        Ring::new(&self.head, &self.tail, &self.entries)
    }

    fn bell(&self) -> Bell<'_, W32, Model> {
        Bell::new(&self.bell, &self.parker)
    }

    fn claim(&self) -> Claim<'_, W32, Model> {
        Claim::new(&self.parked, &self.down, &self.parker)
    }

    /// Takes a value, sleeping while there is none.
    fn take(&self) -> u64 {
        loop {
            if let Some(value) = self.ring().pop().unwrap() {
                return value;
            }
            self.bell().sleep(None, || self.ring().has_some());
        }
    }
}

#[test]
fn a_ring_hands_values_over_in_order() {
    loom::model(|| {
        let shared = Shared::new();
        let producer = shared.clone();
        let thread = thread::spawn(move || {
            for value in 1..=3 {
                while producer.ring().push(value).is_err() {
                    thread::yield_now();
                }
            }
        });
        for value in 1..=3 {
            let taken = loop {
                match shared.ring().pop().unwrap() {
                    Some(taken) => break taken,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(taken, value);
        }
        thread.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let shared = Shared::new();
        let producer = shared.clone();
        let thread = thread::spawn(move || {
            for value in 1..=2 {
                producer.ring().push(value).unwrap();
                producer.bell().ring();
            }
        });
        assert_eq!([shared.take(), shared.take()], [1, 2]);
        thread.join().unwrap();
    });
}

#[test]
fn a_reply_has_one_consumer_and_is_whole() {
    loom::model(|| {
        let shared = Shared::new();
        let generation = Slot::new(&shared.slot).submit().unwrap();
        let service = shared.clone();
        let thread = thread::spawn(move || {
            let slot = Slot::new(&service.slot);
            service.reply.store(42, Ordering::Relaxed);
            slot.complete(slot.generation())
        });
        let slot = Slot::new(&shared.slot);
        let parked = slot.park(generation).unwrap();
        if parked == Poll::Done {
            assert_eq!(shared.reply.load(Ordering::Relaxed), 42);
        }
        // Exactly one of the two is responsible for the reply.
        match (parked, thread.join().unwrap()) {
            (Poll::Done, Completion::Polled) | (Poll::Pending, Completion::Parked) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_parked_reply_reaches_a_waiter_that_sleeps() {
    loom::model(|| {
        let shared = Shared::new();
        let generation = Slot::new(&shared.slot).submit().unwrap();
        let service = shared.clone();
        let thread = thread::spawn(move || {
            let slot = Slot::new(&service.slot);
            service.reply.store(42, Ordering::Relaxed);
            if slot.complete(slot.generation()) == Completion::Parked {
                service.ring().push(0).unwrap();
                service.bell().ring();
            }
        });
        let slot = Slot::new(&shared.slot);
        if slot.park(generation).unwrap() == Poll::Pending {
            assert_eq!(shared.take(), 0);
        }
        assert_eq!(slot.poll(generation), Ok(Poll::Done));
        assert_eq!(shared.reply.load(Ordering::Relaxed), 42);
        slot.release();
        thread.join().unwrap();
    });
}

/// A call parks while the service is declared dead: either that sweeps it up, or the caller finds out.
#[test]
fn a_call_that_parks_while_the_service_dies_is_told_once() {
    loom::model(|| {
        let shared = Shared::new();
        let killer = shared.clone();
        let thread = thread::spawn(move || {
            Claim::declare_dead(&killer.down, &killer.parker);
            killer.claim().take()
        });
        let offer = shared.claim().offer();
        let left_to_others = shared.claim().settle(offer);
        assert_eq!(left_to_others, thread.join().unwrap());
    });
}

/// The waiter takes a reply while the service is declared dead: one of them tells the caller.
#[test]
fn a_reply_that_comes_while_the_service_dies_is_told_once() {
    loom::model(|| {
        let shared = Shared::new();
        let generation = Slot::new(&shared.slot).submit().unwrap();
        let offer = shared.claim().offer();
        assert_eq!(Slot::new(&shared.slot).park(generation), Ok(Poll::Pending));
        assert!(shared.claim().settle(offer));
        let service = shared.clone();
        let thread = thread::spawn(move || {
            let slot = Slot::new(&service.slot);
            assert_eq!(slot.complete(slot.generation()), Completion::Parked);
            service.claim().take()
        });
        Claim::declare_dead(&shared.down, &shared.parker);
        assert_ne!(shared.claim().take(), thread.join().unwrap());
    });
}
