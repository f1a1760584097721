//! The thread that tells callers who did not get their reply at once.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustler::{Encoder, OwnedEnv};
use shm::Corrupt;
use shm::calls::{Owed, Reply};

use super::atoms;
use super::shared::{End, Kind, Shared};

/// Only against a worker so broken that it keeps its bell from waking this thread.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Starts the waiter; it ends with the ring.
pub fn start(shared: Arc<Shared>) -> io::Result<()> {
    let run = move || {
        // A panic here is a fault of this code; callers still get an answer, and the BEAM lives on.
        if catch_unwind(AssertUnwindSafe(|| shared.wait())).is_err() {
            shared.end(End::Down(atoms::worker_down()));
        }
        let _ = catch_unwind(AssertUnwindSafe(|| shared.tell_the_end()));
    };
    thread::Builder::new().name("gp_ring".to_owned()).spawn(run).map(drop)
}

impl Shared {
    /// Tells callers until the ring ends.
    fn wait(&self) {
        loop {
            match self.client.next_completion() {
                Ok(Some((owed, reply))) => self.tell(owed, Some(&reply)),
                Ok(None) if self.end.get().is_some() => return,
                Ok(None) => self.client.wait(LONGEST_SLEEP, || self.end.get().is_some()),
                Err(corrupt) => return self.end(End::Corrupt(corrupt)),
            }
        }
    }

    /// Refuses what comes and tells all who still wait.
    fn tell_the_end(&self) {
        for owed in self.client.abort_all() {
            self.tell(owed, None);
        }
    }

    /// Tells a caller its reply, or that there will be none.
    fn tell(&self, owed: Owed, reply: Option<&Reply>) {
        let note = self.notes.take(owed.slot(), |note| {
            let Some(note) = note else { return self.client.release(owed) };
            let mut fault: Option<Corrupt> = None;
            let result = note.save(|env, kind| match reply.map(|reply| self.result(env, kind, reply)) {
                Some(Ok(result)) => result,
                Some(Err(corrupt)) => {
                    fault = Some(corrupt);
                    (atoms::error(), atoms::corrupt_peer()).encode(env)
                }
                None => (atoms::error(), self.reason()).encode(env),
            });
            // All before the message: whoever gets it finds the ring as it is then.
            if let Some(corrupt) = fault {
                self.end(End::Corrupt(corrupt));
            }
            self.done_with(std::mem::replace(&mut note.kind, Kind::Words));
            self.client.release(owed);
            note.send(&result);
        });
        if let Some(note) = note
            && let Some(corrupt) = self.is_to_report()
        {
            let message = (atoms::ring_corrupt(), note.ring.clone(), corrupt.to_string());
            let _ = OwnedEnv::new().send_and_clear(&self.owner, |_| message);
        }
    }

    fn reason(&self) -> rustler::Atom {
        match self.end.get() {
            Some(End::Down(reason)) => *reason,
            Some(End::Corrupt(_)) => atoms::corrupt_peer(),
            None => atoms::worker_down(),
        }
    }
}
