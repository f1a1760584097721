//! A service for tests of callers: answers as a worker should, and misbehaves when it is asked to.
//!
//! `echo_service SOCKET` connects to a Unix socket, receives the two segments, says `ready` on standard output
//! and serves until its standard input ends.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::Duration;

use shm::bell::Bell;
use shm::calls::{self, BEAT, Completer, Job, Reply, SPIN, Shape};
use shm::protocol::{op, status};
use shm::{Futex, Segment, handover};

/// Operations beyond those of the protocol.
mod odd {
    /// Answers after so many milliseconds.
    pub const SLEEP: u64 = 1001;
    /// Never answers.
    pub const NEVER: u64 = 1002;
    /// Ends the process without an answer.
    pub const DIE: u64 = 1003;
    /// From the next one on, echoes have a length that cannot be.
    pub const BAD_LENGTH: u64 = 1004;
    /// Writes a state that cannot be into every slot.
    pub const BAD_SLOTS: u64 = 1005;
    /// Writes a head that cannot be into every submission ring.
    pub const BAD_HEADS: u64 = 1006;
    /// Announces the reply of a slot that does not exist.
    pub const BAD_COMPLETION: u64 = 1007;
    /// Writes a tail that cannot be into the completion ring.
    pub const BAD_TAIL: u64 = 1008;
}

/// A second mapping of the replies, to do harm with; the table in `shm::calls` has the offsets.
struct Vandal {
    replies: Segment,
    shape: Shape,
}

impl Vandal {
    fn word(&self, at: usize) -> &AtomicU32 {
        &self.replies.words32(at, 1).expect("inside")[0]
    }

    fn completions_at(&self) -> usize {
        320 + 64 * self.shape.rings as usize
    }

    fn slots_at(&self) -> usize {
        let completions = self.shape.slots.next_power_of_two() as usize;
        self.completions_at() + 64 + (8 * completions).next_multiple_of(64)
    }

    fn do_harm(&self, operation: u64) {
        let tail = self.word(self.completions_at());
        match operation {
            odd::BAD_SLOTS => {
                for slot in 0..self.shape.slots as usize {
                    self.word(self.slots_at() + 128 * slot).store(0xffff_fff1, Relaxed);
                }
            }
            odd::BAD_HEADS => {
                (0..self.shape.rings as usize)
                    .for_each(|ring| self.word(320 + 64 * ring).store(500_000, Relaxed));
            }
            odd::BAD_COMPLETION => {
                let at = tail.load(Relaxed);
                let entry =
                    self.completions_at() + 64 + 8 * (at % self.shape.slots.next_power_of_two()) as usize;
                self.word(entry).store(u32::MAX, Relaxed);
                tail.store(at.wrapping_add(1), Release);
            }
            odd::BAD_TAIL => tail.store(tail.load(Relaxed).wrapping_add(1 << 20), Release),
            _ => return,
        }
        // The waiter's bell.
        Bell::new(self.word(128), &Futex).ring();
    }
}

fn answer(completer: &Completer, job: &Job, bad_length: bool) -> Reply {
    let mut reply: Reply = [0; 8];
    let [operation, first, second, ..] = job.request.words;
    match operation {
        _ if job.is_late() => reply[0] = status::LATE,
        op::PING => {}
        op::ECHO => {
            let done = completer
                .payload(first, second)
                .map(|payload| payload.to_vec())
                .is_ok_and(|bytes| completer.write_payload(first, &bytes).is_ok());
            reply[0] = if done { status::OK } else { status::INVALID };
            reply[1] = if bad_length { 1 << 40 } else { second };
        }
        // The words of the request, one place further.
        op::STATS => reply[1..].copy_from_slice(&job.request.words),
        _ => reply[0] = status::NO_SUCH_OPERATION,
    }
    reply
}

fn main() {
    let path = std::env::args().nth(1).expect("the path of a socket");
    let socket = UnixStream::connect(path).expect("somebody who listens");
    let (tag, segments) = handover::receive(&socket).expect("segments");
    assert_eq!(tag, handover::CALLS);
    let second = segments[1].0.try_clone().expect("a file descriptor");
    let replies = Segment::open(second, segments[1].1).expect("the replies");
    let (mut taker, completer) = calls::open(segments).expect("calls");
    let vandal = Vandal { replies, shape: taker.shape() };
    println!("ready");
    std::io::stdout().flush().expect("a reader");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });

    let (mut kept, mut bad_length) = (Vec::new(), false);
    // What was vandalised is found here too; then there is nothing left to serve.
    while let Ok(next) = taker.take() {
        let Some(job) = next else {
            taker.wait(SPIN, BEAT);
            continue;
        };
        match job.request.words[0] {
            odd::SLEEP => {
                let completer = completer.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(job.request.words[1]));
                    completer.complete(job, &[0; 8])
                });
            }
            odd::NEVER => kept.push(job),
            odd::DIE => std::process::exit(1),
            odd::BAD_LENGTH => {
                bad_length = true;
                let _ = completer.complete(job, &[0; 8]);
            }
            harm @ odd::BAD_SLOTS..=odd::BAD_TAIL => {
                // Unanswered, so that the caller is the one who is told.
                kept.push(job);
                vandal.do_harm(harm);
            }
            _ => {
                let reply = answer(&completer, &job, bad_length);
                let _ = completer.complete(job, &reply);
            }
        }
    }
}
