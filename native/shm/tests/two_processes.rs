//! Calls between two real processes: this test starts itself again as the service.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use shm::calls::{Calls, Client, Outcome, Parked, Reply, Service, Shape, SubmitError};
use shm::slot::Completion;
use shm::{Segment, handover};

/// Set in the process that is the service; its standard input is the socket.
const SERVICE: &str = "SHM_TEST_SERVICE";
/// Only to notice a test that hangs.
const WATCHDOG: Duration = Duration::from_secs(120);

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `service` in a process of its own and hands it the segment.
fn start(shape: Shape) -> (Client, Peer) {
    let calls = Calls::create(shape).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "service", "--nocapture", "--test-threads=1"])
        .env(SERVICE, "1")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    handover::send(&ours, &[(calls.segment().fd(), calls.segment().len())]).unwrap();
    (Client::new(calls), Peer(child))
}

/// The other process: answers each request with its words, each one greater.
#[test]
fn service() {
    if std::env::var_os(SERVICE).is_none() {
        return;
    }
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let (fd, len) = handover::receive(&socket).unwrap().pop().unwrap();
    let mut service = Service::new(Calls::open(Segment::open(fd, len).unwrap()).unwrap());
    loop {
        let Some(job) = service.take().unwrap() else {
            service.wait(Some(WATCHDOG));
            continue;
        };
        let mut reply: Reply = [0; 8];
        reply.iter_mut().zip(job.request).for_each(|(reply, word)| *reply = word.wrapping_add(1));
        assert_ne!(service.complete(job, &reply).unwrap(), Completion::Stale);
    }
}

fn poll(client: &Client, mut outcome: Outcome) -> Reply {
    let start = Instant::now();
    loop {
        match outcome {
            Outcome::Done(reply) => return reply,
            Outcome::Pending(ticket) => outcome = client.poll(ticket).unwrap(),
        }
        assert!(start.elapsed() < WATCHDOG);
        std::thread::yield_now();
    }
}

#[test]
fn polled_calls_come_back_with_their_own_answers() {
    let (client, _peer) = start(Shape { rings: 2, entries: 8, slots: 5 });
    for n in 0..5_000u64 {
        let ticket = client.submit((n % 2) as u32, &[n, n * 3, 0, 0, 0, 0, 7]).unwrap();
        let reply = poll(&client, Outcome::Pending(ticket));
        assert_eq!((reply[0], reply[1], reply[6]), (n + 1, n * 3 + 1, 8));
    }
}

#[test]
fn parked_calls_come_back_through_the_waiter_and_too_many_are_busy() {
    let (client, _peer) = start(Shape { rings: 1, entries: 4, slots: 64 });
    let mut wanted = std::collections::HashMap::new();
    let (mut submitted, mut answered, mut busy) = (0u64, 0u64, 0u64);
    let start = Instant::now();
    while answered < 5_000 {
        assert!(start.elapsed() < WATCHDOG, "{submitted} submitted, {answered} answered");
        if submitted < 5_000 {
            match client.submit(0, &[submitted, 0, 0, 0, 0, 0, 0]) {
                Ok(ticket) => {
                    match client.park(ticket).unwrap() {
                        Parked::Done(reply) => {
                            assert_eq!(reply[0], submitted + 1);
                            answered += 1;
                        }
                        Parked::Waiting(slot) => assert_eq!(wanted.insert(slot, submitted + 1), None),
                    }
                    submitted += 1;
                    continue;
                }
                Err(SubmitError::Busy) => busy += 1,
                Err(error) => panic!("{error}"),
            }
        }
        match client.next_completion().unwrap() {
            Some((slot, reply)) => {
                assert_eq!(wanted.remove(&slot), Some(reply[0]));
                answered += 1;
            }
            None => client.wait(Some(Duration::from_secs(1))),
        }
    }
    assert!(busy > 0, "a ring of four entries was never full");
    assert!(wanted.is_empty());
}

#[test]
fn a_killed_service_leaves_calls_pending_and_nothing_else() {
    let (client, peer) = start(Shape { rings: 1, entries: 8, slots: 2 });
    let ticket = client.submit(0, &[1, 0, 0, 0, 0, 0, 0]).unwrap();
    poll(&client, Outcome::Pending(ticket));
    drop(peer);
    let ticket = client.submit(0, &[2, 0, 0, 0, 0, 0, 0]).unwrap();
    let Outcome::Pending(ticket) = client.poll(ticket).unwrap() else { panic!("answered by nobody") };
    assert!(matches!(client.park(ticket), Ok(Parked::Waiting(_))));
    client.wait(Some(Duration::from_millis(1)));
    assert_eq!(client.next_completion(), Ok(None));
}

#[test]
fn what_a_broken_service_writes_is_noticed() {
    // The words of a segment of this shape: the completion ring begins after the one submission ring.
    let shape = Shape { rings: 1, entries: 8, slots: 4 };
    let completions = 256 + 128 + 64;
    let broken = |at: usize, value: u32| {
        let client = Client::new(Calls::create(shape).unwrap());
        let ticket = client.submit(0, &[0; 7]).unwrap();
        client.calls().segment().words32(at, 1).unwrap()[0].store(value, Relaxed);
        (client, ticket)
    };
    // A slot's state that cannot be; the first call gets the first slot.
    let (client, ticket) = broken(shape.bytes() - 4 * 128, 0xffff_fff0);
    assert!(client.poll(ticket).is_err());
    // A completion ring that claims more entries than it has.
    let (client, _) = broken(completions + 64, 1000);
    assert!(client.next_completion().is_err());
    // A completed slot that does not exist, one that nobody waits for, and one without a reply.
    for slot in [4, u32::MAX, 3, 0] {
        let (client, _) = broken(completions + 128, slot);
        client.calls().segment().words32(completions + 64, 1).unwrap()[0].store(1, Relaxed);
        assert!(client.next_completion().is_err(), "slot {slot}");
    }
    // A submission ring whose head ran ahead of its tail.
    let (client, _) = broken(256, 500);
    assert!(matches!(client.submit(0, &[0; 7]), Err(SubmitError::Corrupt(_))));
    // A segment whose shape does not fit it.
    for (at, value) in [(64, 0), (64, 1025), (68, 3), (72, 0), (72, 65536), (72, 5)] {
        let calls = Calls::create(shape).unwrap();
        calls.segment().words32(at, 1).unwrap()[0].store(value, Relaxed);
        let copy = Segment::open(calls.segment().fd().try_clone_to_owned().unwrap(), calls.segment().len());
        assert!(Calls::open(copy.unwrap()).is_err(), "{value} at {at}");
    }
}
