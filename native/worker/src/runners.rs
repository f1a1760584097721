//! The threads that do long work, each request in a slice as long as its caller wants.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hexworld::WriteError;
use shm::calls::{Completer, Job, Reply};
use shm::protocol::{op, status};

use crate::service::{answer, reply};
use crate::worlds::Worlds;

/// What a runner works with.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Where answers go.
    pub completer: Completer,
    /// The worlds.
    pub worlds: Arc<Worlds>,
}

/// Starts a thread for each core.
pub fn start(runner: &Runner, jobs: Receiver<Job>) {
    let jobs = Arc::new(Mutex::new(jobs));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for n in 0..threads {
        let (runner, jobs) = (runner.clone(), jobs.clone());
        let started =
            std::thread::Builder::new().name(format!("runner-{n}")).spawn(move || runner.run(&jobs));
        if let Err(error) = started
            && n == 0
        {
            eprintln!("gp_worker: no thread to work with: {error}");
            std::process::exit(1);
        }
    }
}

impl Runner {
    fn run(&self, jobs: &Mutex<Receiver<Job>>) {
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let words = if job.is_late() { reply(&[status::LATE]) } else { self.work(&job) };
            if let Err(corrupt) = answer(&self.completer, job, &words) {
                eprintln!("gp_worker: {corrupt}");
                std::process::exit(1);
            }
        }
    }

    fn work(&self, job: &Job) -> Reply {
        let [operation, id, target, slice_us, ..] = job.request.words;
        if operation == op::CLOSE {
            // Unmapping a large world takes milliseconds.
            self.worlds.remove(id);
            return reply(&[status::OK]);
        }
        let Some(world) = self.worlds.get(id) else { return reply(&[status::NO_SUCH_WORLD]) };
        let (start, slice) = (Instant::now(), Duration::from_micros(slice_us));
        let go_on = || {
            self.completer.progress();
            start.elapsed() < slice
        };
        let result = match operation {
            op::ADVANCE => {
                world.advance(target, go_on).map(|made| [made.tick, u64::from(made.done), 0, 0, 0])
            }
            op::GENERATE => world.generate(go_on).map(|made| [made.tick, u64::from(made.done), 0, 0, 0]),
            _ => world.digest_with(|| self.completer.progress()).map(|(tick, digest)| {
                let word = |n: usize| u64::from_le_bytes(*digest[8 * n..].first_chunk().expect("32 bytes"));
                [tick, word(0), word(1), word(2), word(3)]
            }),
        };
        match result {
            Ok([a, b, c, d, e]) => reply(&[status::OK, a, b, c, d, e]),
            Err(WriteError::Busy) => reply(&[status::BUSY]),
            Err(WriteError::Full) => reply(&[status::FULL]),
            Err(WriteError::Corrupt(_)) => reply(&[status::FAILED]),
            Err(WriteError::Fenced(fenced)) => {
                // This process was thought dead. It must not touch the world again.
                eprintln!("gp_worker: {fenced}");
                std::process::exit(1);
            }
        }
    }
}
