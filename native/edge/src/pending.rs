//! Requests that the BEAM has not answered yet.

use std::collections::HashMap;

use bytes::Bytes;
use dist::Term;
use dist::term::{as_atom, as_tuple};
use tokio::sync::oneshot;

/// The answer of the BEAM to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, 200 to 599.
    pub status: u16,
    /// Names and values of headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered(Answer),
    /// Who was to answer has crashed.
    Crashed,
    /// What is behind it goes down.
    Restart,
}

/// Who waits for an answer.
#[derive(Debug, Default)]
pub struct Pending {
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
}

impl Pending {
    /// One more waits.
    pub fn add(&mut self, id: u64, waiting: oneshot::Sender<Outcome>) {
        self.waiting.insert(id, waiting);
    }

    /// Its client has gone.
    pub fn remove(&mut self, id: u64) {
        self.waiting.remove(&id);
        if self.waiting.is_empty() && self.waiting.capacity() > 1024 {
            self.waiting = HashMap::new();
        }
    }

    /// Whether somebody waited for that.
    pub fn settle(&mut self, id: u64, outcome: Outcome) -> bool {
        match self.waiting.remove(&id) {
            // The client may have gone.
            Some(waiting) => waiting.send(outcome).is_ok(),
            None => false,
        }
    }

    /// An exit signal for the process of a request; false if there is no such request.
    pub fn exit(&mut self, id: u64, reason: &Term) -> bool {
        if !self.waiting.contains_key(&id) {
            return false;
        }
        match ending(reason) {
            Some(outcome) => self.settle(id, outcome),
            None => true,
        }
    }

    /// Nobody will answer any more.
    pub fn restart(&mut self) {
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            let _ = waiting.send(Outcome::Restart);
        }
    }
}

/// None if a process that ends so may have answered: the answer takes another way, and may come later.
fn ending(reason: &Term) -> Option<Outcome> {
    match (as_atom(reason), as_tuple(reason)) {
        (Some("normal"), _) => None,
        (Some("shutdown" | "noconnection"), _) => Some(Outcome::Restart),
        (_, Some([kind, _])) if as_atom(kind) == Some("shutdown") => Some(Outcome::Restart),
        _ => Some(Outcome::Crashed),
    }
}
