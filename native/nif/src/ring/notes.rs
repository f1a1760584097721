//! Who waits for the reply in which slot.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustler::env::SavedTerm;
use rustler::types::reference::Reference;
use rustler::{Encoder, Env, LocalPid, OwnedEnv, ResourceArc, Term};
use shm::calls::{CallError, Client, Parked, Ticket};

use super::Ring;
use super::shared::Kind;

/// Who waits, and for what.
pub struct Note {
    /// Nobody, if the caller has cancelled.
    to: Option<LocalPid>,
    env: OwnedEnv,
    reference: SavedTerm,
    key: u64,
    pub kind: Kind,
    /// The ring lives while somebody waits for it, and can be named in a message.
    pub ring: ResourceArc<Ring>,
}

/// A hash of a reference; never 0.
fn key(reference: Reference) -> u64 {
    reference.hash_internal(0) | 1
}

impl Note {
    pub fn new(to: LocalPid, reference: Reference, kind: Kind, ring: ResourceArc<Ring>) -> Self {
        let env = OwnedEnv::new();
        let saved = env.save(reference);
        Note { to: Some(to), env, reference: saved, key: key(reference), kind, ring }
    }

    /// Makes the result, to be sent when nothing is held for the call any more.
    pub fn save(&self, result: impl for<'b> FnOnce(Env<'b>, &Kind) -> Term<'b>) -> SavedTerm {
        self.env.run(|env| self.env.save(result(env, &self.kind)))
    }

    /// Sends `{ref, result}` to whoever waits. Never on a scheduler thread.
    pub fn send(&mut self, result: &SavedTerm) {
        let Note { to, env, reference, .. } = self;
        if let Some(to) = to {
            // A caller that has ended needs no reply.
            let _ = env.send_and_clear(to, |env| (reference.load(env), result.load(env)).encode(env));
        }
    }
}

/// The notes of all slots.
pub struct Notes {
    notes: Box<[Mutex<Option<Note>>]>,
    /// The notes' keys, or 0, so that one can be found without locking all.
    keys: Box<[AtomicU64]>,
}

impl Notes {
    pub fn new(slots: u32) -> Self {
        Notes {
            notes: (0..slots).map(|_| Mutex::new(None)).collect(),
            keys: (0..slots).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn lock(&self, slot: u32) -> MutexGuard<'_, Option<Note>> {
        self.notes[slot as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes who waits, and parks the call. If it is over already the kind comes back.
    ///
    /// The lock is held until the note is in its place or gone again: a call that is over has freed its
    /// slot, and the next caller may note something there.
    pub fn park(
        &self,
        client: &Client,
        ticket: Ticket,
        note: Note,
    ) -> (Result<Parked, CallError>, Option<Kind>) {
        let slot = ticket.slot();
        let mut place = self.lock(slot);
        self.keys[slot as usize].store(note.key, Release);
        *place = Some(note);
        let parked = client.park(ticket);
        if let Ok(Parked::Waiting(_)) = parked {
            return (parked, None);
        }
        self.keys[slot as usize].store(0, Release);
        let kind = place.take().map(|note| note.kind);
        (parked, kind)
    }

    /// Takes the note of a slot and has `tell` send what there is to say, while nobody can cancel it.
    pub fn take(&self, slot: u32, tell: impl FnOnce(Option<&mut Note>)) -> Option<Note> {
        let mut place = self.lock(slot);
        let mut note = place.take();
        tell(note.as_mut());
        // Only now: who cancels while it is told waits for the lock.
        self.keys[slot as usize].store(0, Release);
        note
    }

    /// The caller of this reference wants no message any more.
    pub fn cancel(&self, reference: Reference) {
        let key = key(reference);
        for (slot, found) in self.keys.iter().enumerate() {
            if found.load(Acquire) != key {
                continue;
            }
            if let Some(note) = &mut *self.lock(slot as u32)
                && note.env.run(|env| note.reference.load(env) == *reference)
            {
                note.to = None;
            }
        }
    }
}
