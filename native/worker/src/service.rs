//! The thread that takes requests from the ring. What is short it answers itself; the rest goes to runners.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use shm::Corrupt;
use shm::calls::{BEAT, Completer, Job, Reply, SPIN, Taker};
use shm::protocol::{op, status};
use shm::slot::Completion;

use crate::runners::{self, Runner};
use crate::worlds::Worlds;

/// A reply of these words, the rest 0.
pub fn reply(words: &[u64]) -> Reply {
    let mut reply = Reply::default();
    reply[..words.len()].copy_from_slice(words);
    reply
}

/// Serves until the other side writes what cannot be.
pub fn run(mut taker: Taker, completer: Completer, worlds: Arc<Worlds>) -> Corrupt {
    let (sender, receiver) = channel();
    runners::start(&Runner { completer: completer.clone(), worlds: worlds.clone() }, receiver);
    loop {
        let served = match taker.take() {
            Ok(Some(job)) => serve(job, &completer, &worlds, &sender),
            Ok(None) => {
                taker.wait(SPIN, BEAT);
                Ok(())
            }
            Err(corrupt) => Err(corrupt),
        };
        if let Err(corrupt) = served {
            return corrupt;
        }
    }
}

fn serve(job: Job, completer: &Completer, worlds: &Worlds, runners: &Sender<Job>) -> Result<(), Corrupt> {
    let [operation, first, second, ..] = job.request.words;
    let words = match operation {
        op::PING => reply(&[status::OK]),
        op::STATS => reply(&[status::OK, worlds.len() as u64, u64::from(std::process::id())]),
        op::ECHO => echo(completer, first, second)?,
        op::ADVANCE | op::GENERATE | op::DIGEST | op::CLOSE => {
            // Only a panic ends the runners, and with them this process.
            let _ = runners.send(job);
            return Ok(());
        }
        _ => reply(&[status::NO_SUCH_OPERATION]),
    };
    answer(completer, job, &words)
}

/// Answers a request. The caller waits for the answer, so a slot that is in another use by now was written by
/// somebody who must not.
pub fn answer(completer: &Completer, job: Job, words: &Reply) -> Result<(), Corrupt> {
    let operation = job.request.words[0];
    match completer.complete(job, words)? {
        Completion::Stale => Err(Corrupt { what: "the slot of a request of operation", found: operation }),
        Completion::Polled | Completion::Parked => Ok(()),
    }
}

fn echo(completer: &Completer, block: u64, len: u64) -> Result<Reply, Corrupt> {
    let bytes = completer.payload(block, len)?.to_vec();
    Ok(match completer.write_payload(block, &bytes) {
        Ok(()) => reply(&[status::OK, len]),
        Err(_) => reply(&[status::INVALID]),
    })
}
