//! Calls between two real processes: this test starts itself again as the service.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use shm::calls::{self, CallError, Client, Outcome, Parked, Reply, Request, SPIN, Shape};
use shm::protocol::{op, status};
use shm::slot::Completion;
use shm::{clock, handover};

/// Set in the process that is the service; its standard input is the socket.
const SERVICE: &str = "SHM_TEST_SERVICE";
/// Only to notice a test that hangs.
const WATCHDOG: Duration = Duration::from_secs(120);
/// An operation that answers with each word of the request, one greater.
const EACH_ONE_MORE: u64 = 1000;
/// An operation that never answers.
const NEVER: u64 = 1001;

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SHAPE: Shape = Shape { rings: 2, entries: 8, slots: 5, blocks: 3, block_bytes: 65_536 };

/// Starts `service` in a process of its own and hands it the segments.
fn start(shape: Shape) -> (Client, Peer) {
    let client = Client::create(shape).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "service", "--nocapture", "--test-threads=1"])
        .env(SERVICE, "1")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    handover::send(&ours, handover::CALLS, &client.segments()).unwrap();
    (client, Peer(child))
}

/// The other process: takes on one thread, answers on two.
#[test]
fn service() {
    if std::env::var_os(SERVICE).is_none() {
        return;
    }
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let (tag, segments) = handover::receive(&socket).unwrap();
    assert_eq!(tag, handover::CALLS);
    let (mut taker, completer) = calls::open(segments).unwrap();
    let threads = [0, 1].map(|_| {
        let (sender, jobs) = std::sync::mpsc::channel::<calls::Job>();
        let completer = completer.clone();
        std::thread::spawn(move || {
            for job in jobs {
                let reply = answer(&completer, &job);
                assert_ne!(completer.complete(job, &reply).unwrap(), Completion::Stale);
            }
        });
        sender
    });
    let mut kept = Vec::new();
    loop {
        match taker.take().unwrap() {
            Some(job) if job.request.words[0] == NEVER => kept.push(job),
            Some(job) => threads[job.request.words[1] as usize % 2].send(job).unwrap(),
            None => taker.wait(SPIN, WATCHDOG),
        }
    }
}

fn answer(completer: &calls::Completer, job: &calls::Job) -> Reply {
    let mut reply: Reply = [0; 8];
    let [operation, block, len, ..] = job.request.words;
    if job.is_late() {
        reply[0] = status::LATE;
    } else if operation == op::ECHO {
        let payload = completer.payload(block, len).unwrap();
        completer.write_payload(block, &payload.to_vec()).unwrap();
        reply[1] = len;
    } else {
        reply.iter_mut().zip(job.request.words).for_each(|(reply, word)| *reply = word.wrapping_add(1));
    }
    reply
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

fn request(words: [u64; 3]) -> Request {
    Request::from([words[0], words[1], words[2], 0, 0, 0, 7])
}

#[test]
fn calls_come_back_with_their_own_answers() {
    let (client, _peer) = start(SHAPE);
    for n in 0..5_000u64 {
        let request = request([EACH_ONE_MORE, n, n * 3]);
        let outcome = client.call((n % 2) as u32, &request, Duration::from_micros(50)).unwrap();
        let reply = poll(&client, outcome);
        assert_eq!((reply[1], reply[2], reply[6]), (n + 1, n * 3 + 1, 8));
    }
    let (ours, theirs) = (client.counts(), client.service_counts());
    assert_eq!((ours.submitted, theirs.taken, client.in_flight()), (5_000, 5_000, 0));
    assert!(theirs.progress >= 5_000 && theirs.beat > 0 && theirs.sleeps > 0);
}

#[test]
fn an_idle_service_beats() {
    let (client, _peer) = start(SHAPE);
    let (first, start) = (client.service_counts().beat, Instant::now());
    while client.service_counts().beat < first + 3 {
        assert!(start.elapsed() < WATCHDOG);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn parked_calls_come_back_through_the_waiter_and_too_many_are_busy() {
    let (client, _peer) = start(Shape { rings: 1, entries: 4, slots: 64, ..SHAPE });
    let mut wanted = HashMap::new();
    let (mut submitted, mut answered, mut busy) = (0u64, 0u64, 0u64);
    let start = Instant::now();
    while answered < 5_000 {
        assert!(start.elapsed() < WATCHDOG, "{submitted} submitted, {answered} answered");
        if submitted < 5_000 {
            match client.submit(0, &request([EACH_ONE_MORE, submitted, 0])) {
                Ok(ticket) => {
                    match client.park(ticket).unwrap() {
                        Parked::Done(reply) => {
                            assert_eq!(reply[1], submitted + 1);
                            answered += 1;
                        }
                        Parked::Waiting(slot) => assert_eq!(wanted.insert(slot, submitted + 1), None),
                    }
                    submitted += 1;
                    continue;
                }
                Err(CallError::Busy) => busy += 1,
                Err(error) => panic!("{error}"),
            }
        }
        match client.next_completion().unwrap() {
            Some((owed, reply)) => {
                assert_eq!(wanted.remove(&owed.slot()), Some(reply[1]));
                client.release(owed);
                answered += 1;
            }
            None => client.wait(Duration::from_secs(1), || false),
        }
    }
    assert!(busy > 0, "a ring of four entries was never full");
    assert_eq!((client.counts().busy, client.in_flight()), (busy, 0));
    assert!(wanted.is_empty());
}

#[test]
fn payloads_of_any_length_come_back() {
    let (client, _peer) = start(SHAPE);
    for len in [0, 1, 7, 8, 9, 4_096, 65_535, 65_536] {
        let block = client.block().unwrap();
        let bytes: Vec<u8> = (0..len).map(|n| (n * 7 + len) as u8).collect();
        assert!(client.write_payload(&block, &bytes));
        let ticket = client.submit(0, &request([op::ECHO, block.number(), len as u64])).unwrap();
        let reply = poll(&client, Outcome::Pending(ticket));
        assert_eq!(client.payload(&block, reply[1]).unwrap().to_vec(), bytes);
        assert!(client.payload(&block, 65_537).is_err());
        assert!(!client.write_payload(&block, &vec![0; 65_537]));
        client.give_back(block);
    }
    let all: Vec<_> = (0..3).map(|_| client.block().unwrap()).collect();
    assert!(client.block().is_none());
    all.into_iter().for_each(|block| client.give_back(block));
}

#[test]
fn a_request_that_is_too_late_is_not_worked_on() {
    let (client, _peer) = start(SHAPE);
    for (deadline, expected) in [
        (1, status::LATE),
        (clock::deadline(WATCHDOG), EACH_ONE_MORE + 1),
        (clock::deadline(Duration::MAX), EACH_ONE_MORE + 1),
        (0, EACH_ONE_MORE + 1),
    ] {
        let ticket = client.submit(0, &Request { deadline, ..request([EACH_ONE_MORE, 0, 0]) }).unwrap();
        assert_eq!(poll(&client, Outcome::Pending(ticket))[0], expected);
    }
}

#[test]
fn a_killed_service_leaves_calls_pending_until_they_are_aborted() {
    let (client, peer) = start(SHAPE);
    let answered = client.submit(0, &request([EACH_ONE_MORE, 1, 0])).unwrap();
    poll(&client, Outcome::Pending(answered));
    let parked = client.submit(0, &request([NEVER, 0, 0])).unwrap();
    let Ok(Parked::Waiting(slot)) = client.park(parked) else { panic!("answered by nobody") };
    let polled = client.submit(1, &request([NEVER, 0, 0])).unwrap();
    drop(peer);
    client.wait(Duration::from_millis(1), || false);
    assert_eq!(client.next_completion(), Ok(None));
    assert_eq!(client.in_flight(), 2);

    let owed = client.abort_all();
    assert_eq!(owed.iter().map(calls::Owed::slot).collect::<Vec<_>>(), [slot]);
    owed.into_iter().for_each(|owed| client.release(owed));
    assert_eq!(client.abort_all(), []);
    let Ok(Outcome::Pending(polled)) = client.poll(polled) else { panic!("answered by nobody") };
    assert_eq!(client.park(polled), Err(CallError::Down));
    assert_eq!(client.submit(0, &request([NEVER, 0, 0])), Err(CallError::Down));
    assert_eq!(client.in_flight(), 0);
}
