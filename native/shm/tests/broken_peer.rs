//! What a broken service may write, in one process: the service is a second mapping of the segments.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use proptest::prelude::*;
use shm::calls::{self, CallError, CallsError, Client, Outcome, Parked, Reply, Request, Shape};
use shm::{OpenError, Segment};

const SHAPE: Shape = Shape { rings: 1, entries: 8, slots: 4, blocks: 2, block_bytes: 64 };
/// Where things lie in the replies of this shape; the table in `calls` has the same numbers.
const HEAD: usize = 320;
const COMPLETION_TAIL: usize = 384;
const COMPLETIONS: usize = 448;
const SLOTS: usize = 512;
const REPLY: Reply = [0; 8];

fn ask() -> Request {
    Request::from([0; 7])
}

/// What a service gets, of which it can write the second.
fn copies(client: &Client) -> Vec<(std::os::fd::OwnedFd, usize)> {
    client.segments().map(|(fd, len)| (fd.try_clone_to_owned().unwrap(), len)).into()
}

fn replies(client: &Client) -> Segment {
    let (fd, len) = copies(client).pop().unwrap();
    Segment::open(fd, len).unwrap()
}

#[test]
fn the_requests_are_out_of_the_service_s_reach() {
    let client = Client::create(SHAPE).unwrap();
    let (fd, len) = copies(&client).into_iter().next().unwrap();
    assert!(matches!(Segment::open(fd, len), Err(OpenError::Map(_))));
    assert!(calls::open(copies(&client)).is_ok());
}

#[test]
fn segments_that_do_not_fit_are_refused() {
    let client = Client::create(SHAPE).unwrap();
    let other = Client::create(Shape { slots: 4096, ..SHAPE }).unwrap();
    let swapped = copies(&client).into_iter().rev().collect();
    assert!(calls::open(swapped).is_err());
    let mut short = copies(&other);
    short[1] = copies(&client).pop().unwrap();
    assert!(matches!(calls::open(short), Err(CallsError::OutOfBounds(_))));
    assert!(matches!(calls::open(vec![]), Err(CallsError::Segments(0))));
    for shape in [
        Shape { rings: 0, ..SHAPE },
        Shape { rings: 1025, ..SHAPE },
        Shape { entries: 3, ..SHAPE },
        Shape { slots: 0, ..SHAPE },
        Shape { slots: 65_537, ..SHAPE },
        Shape { blocks: 4097, ..SHAPE },
        Shape { block_bytes: 63, ..SHAPE },
        Shape { block_bytes: 72, ..SHAPE },
    ] {
        assert!(matches!(Client::create(shape), Err(CallsError::Shape(_))), "{shape:?}");
    }
}

#[test]
fn each_word_that_cannot_be_is_noticed() {
    let broken = |writes: &[(usize, u32)]| {
        let client = Client::create(SHAPE).unwrap();
        let ticket = client.submit(0, &ask()).unwrap();
        let memory = replies(&client);
        for &(at, value) in writes {
            memory.words32(at, 1).unwrap()[0].store(value, Relaxed);
        }
        (client, ticket)
    };
    // The first call has the first slot: its state.
    let (client, ticket) = broken(&[(SLOTS, 0xffff_fff0)]);
    assert!(client.poll(ticket).is_err());
    assert_eq!(client.in_flight(), 0);
    // A completion ring that claims more entries than it has.
    let (client, _ticket) = broken(&[(COMPLETION_TAIL, 1000)]);
    assert!(client.next_completion().is_err());
    // A completed slot that does not exist, one that nobody waits for, one without a reply.
    for slot in [4, u32::MAX, 3, 0] {
        let (client, _ticket) = broken(&[(COMPLETIONS, slot), (COMPLETION_TAIL, 1)]);
        assert!(client.next_completion().is_err(), "slot {slot}");
    }
    // A submission ring whose head ran ahead of its tail.
    let (client, _ticket) = broken(&[(HEAD, 500)]);
    assert!(matches!(client.submit(0, &ask()), Err(CallError::Corrupt(_))));
    // A slot in use, though nobody uses it.
    let (client, _ticket) = broken(&[(SLOTS + 128, 1)]);
    assert!(matches!(client.submit(0, &ask()), Err(CallError::Corrupt(_))));
}

#[test]
fn a_reply_is_told_once_even_if_it_is_announced_twice() {
    let client = Client::create(SHAPE).unwrap();
    let (mut taker, completer) = calls::open(copies(&client)).unwrap();
    let ticket = client.submit(0, &ask()).unwrap();
    assert!(matches!(client.park(ticket), Ok(Parked::Waiting(0))));
    completer.complete(taker.take().unwrap().unwrap(), &REPLY).unwrap();
    let memory = replies(&client);
    memory.words32(COMPLETION_TAIL, 1).unwrap()[0].store(2, Relaxed);
    let (owed, _) = client.next_completion().unwrap().unwrap();
    client.release(owed);
    assert!(client.next_completion().is_err());
}

#[test]
fn a_reply_after_the_abort_reaches_nobody() {
    let client = Client::create(SHAPE).unwrap();
    let (mut taker, completer) = calls::open(copies(&client)).unwrap();
    let ticket = client.submit(0, &ask()).unwrap();
    assert!(matches!(client.park(ticket), Ok(Parked::Waiting(0))));
    let owed = client.abort_all();
    completer.complete(taker.take().unwrap().unwrap(), &REPLY).unwrap();
    assert!(client.next_completion().is_err());
    owed.into_iter().for_each(|owed| client.release(owed));
}

/// Words that are likelier to do harm than any.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0..6u32, 1 => Just(u32::MAX), 1 => any::<u32>(), 1 => (0..4u32).prop_map(|n| 4 + n)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Garbage anywhere in the replies, at any time: the client answers or says so.
    #[test]
    fn no_garbage_harms_the_client(
        rounds in prop::collection::vec((prop::collection::vec((0..1024usize, word()), 0..64), 0..6u8), 1..40),
        dense in any::<bool>(),
    ) {
        let client = Client::create(SHAPE).unwrap();
        let memory = replies(&client);
        let words: &[AtomicU32] = memory.words32(0, 1024).unwrap();
        let mut tickets = Vec::new();
        for (garbage, step) in rounds {
            for (at, value) in garbage {
                // Where the client looks, or anywhere.
                let at = if dense { at } else { (HEAD + at % 512) / 4 };
                words[at].store(value, Relaxed);
            }
            match step {
                0 | 1 => tickets.extend(client.submit(0, &ask()).ok()),
                2 => if let Ok(Outcome::Pending(ticket)) = client.call(0, &ask(), Duration::from_micros(3)) {
                    tickets.push(ticket);
                },
                3 => {
                    let outcome = tickets.pop().map(|ticket| client.poll(ticket));
                    if let Some(Ok(Outcome::Pending(ticket))) = outcome {
                        tickets.push(ticket);
                    }
                }
                4 => {
                    let _ = tickets.pop().map(|ticket| client.park(ticket));
                }
                _ => {
                    client.wait(Duration::from_micros(1), || false);
                    if let Ok(Some((owed, reply))) = client.next_completion() {
                        let block = client.block().unwrap();
                        prop_assert_eq!(client.payload(&block, reply[0]).is_ok(), reply[0] <= 64);
                        client.give_back(block);
                        client.release(owed);
                    }
                }
            }
            let _ = (client.service_counts(), client.in_flight());
        }
        for ticket in tickets {
            let _ = client.park(ticket);
        }
        client.abort_all().into_iter().for_each(|owed| client.release(owed));
        prop_assert_eq!(client.in_flight(), 0);
    }

    /// A service asked for any block and any length answers or says so.
    #[test]
    fn no_request_harms_the_service(block in any::<u64>(), len in any::<u64>(), small in any::<bool>()) {
        let client = Client::create(SHAPE).unwrap();
        let (_taker, completer) = calls::open(copies(&client)).unwrap();
        let (block, len) = if small { (block % 4, len % 128) } else { (block, len) };
        prop_assert_eq!(completer.payload(block, len).is_ok(), block < 2 && len <= 64);
        prop_assert_eq!(completer.write_payload(block, &[0; 64]).is_ok(), block < 2);
        prop_assert!(completer.write_payload(block, &[0; 65]).is_err());
    }
}
