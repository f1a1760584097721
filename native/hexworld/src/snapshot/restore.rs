//! Making a world from a snapshot.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rayon::prelude::*;
use shm::Corrupt;
use shm::cards::{self, Cards, CardsError, MAX_OBJECT};
use thiserror::Error;
use wire::snapshot::{Header, Snapshot, SnapshotError};

use super::contents::Contents;
use super::{helpers, on};
use crate::factory::{CARDS_OF_ACTION, Factory};
use crate::world::World;

/// Why a world is not restored. Its memory may be half written then, and it is not ready.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The bytes are no snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It is of another world.
    #[error("the snapshot's {what} is {found}, the world's is {expected}")]
    Other {
        /// In what they differ.
        what: &'static str,
        /// That of the snapshot.
        found: String,
        /// That of the world.
        expected: String,
    },
    /// A kind that the ruleset does not have.
    #[error("cell {cell} has kind {kind}; the ruleset has {kinds} kinds")]
    Kind {
        /// The first such cell.
        cell: usize,
        /// Its kind.
        kind: u8,
        /// Kinds of the ruleset.
        kinds: usize,
    },
    /// The objects are not those of a world.
    #[error("among the objects: {} {:#x} cannot be", .0.what, .0.found)]
    Objects(#[from] Corrupt),
    /// All fits, but it is not the state that was written.
    #[error("the content does not have the digest that the header says")]
    Digest,
    /// The world has a state already.
    #[error("the world has begun")]
    Started,
    /// No memory for the objects.
    #[error("no memory for the objects: {0}")]
    Memory(#[from] CardsError),
}

impl World {
    /// Makes the first state from a snapshot of a world with the same options, and says its tick. Nobody else uses
    /// the world yet. It goes on from there as the one did that the snapshot was taken of.
    ///
    /// # Errors
    ///
    /// Whatever does not fit. Of bytes that were changed nothing is ever taken for a state.
    pub fn restore(&self, bytes: &[u8]) -> Result<u64, RestoreError> {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_ready() || self.tick() != Ok(0) || ticker.acted != 0 {
            return Err(RestoreError::Started);
        }
        let snapshot = Snapshot::parse(bytes)?;
        let Header { tick, seed, ruleset_hash, digest, .. } = snapshot.header;
        self.fits(&snapshot.header)?;
        let contents = Contents::of(&snapshot)?;
        if contents.digest(tick, seed, &ruleset_hash) != digest {
            return Err(RestoreError::Digest);
        }
        self.restore_field(&contents, tick)?;
        let factory = self.restore_objects(&contents, tick)?;
        self.rows.publish(tick).map_err(|_| RestoreError::Started)?;
        self.rows.set_ready();
        self.origin.store(tick, Ordering::Relaxed);
        ticker.generated = self.sphere().rows();
        // Whoever opens shared memory makes a copy of its own.
        ticker.factory = factory.filter(|_| self.segment().fd().is_none());
        Ok(tick)
    }

    fn fits(&self, header: &Header) -> Result<(), RestoreError> {
        let options = self.options();
        let hex = |hash: &[u8; 32]| blake3::Hash::from_bytes(*hash).to_hex().to_string();
        let pairs = [
            ("frequency", header.frequency.to_string(), options.frequency.to_string()),
            ("seed", header.seed.to_string(), options.seed.to_string()),
            ("ruleset", hex(&header.ruleset_hash), hex(&self.ruleset_hash())),
        ];
        match pairs.into_iter().find(|(_, found, expected)| found != expected) {
            Some((what, found, expected)) => Err(RestoreError::Other { what, found, expected }),
            None => Ok(()),
        }
    }

    fn restore_field(&self, contents: &Contents, tick: u64) -> Result<(), RestoreError> {
        let (sphere, known) = (self.sphere(), self.options().ruleset.kinds.len());
        if let Some(cell) = contents.kinds.iter().position(|&kind| usize::from(kind) >= known) {
            return Err(RestoreError::Kind { cell, kind: contents.kinds[cell], kinds: known });
        }
        let write = |row: u32| {
            let f = sphere.frequency();
            let first = (row.min(10 * f) * f + row.saturating_sub(10 * f)) as usize;
            let cells = first..first + sphere.row_len(row) as usize;
            let (kinds, amounts) = (&contents.kinds[cells.clone()], &contents.amounts[cells]);
            let codes = kinds.iter().zip(amounts).map(|(&kind, &amount)| self.tables.code(kind, amount));
            // Where only the rule changes cells the stamp follows from the beat. Elsewhere a row may have changed
            // since, and nobody knows when: it counts as new, so that a diff never leaves it out.
            let stamp = if self.cards.is_some() { tick } else { self.since(row, tick) };
            self.rows.begin_at(row, stamp, &codes.collect::<Vec<_>>(), amounts);
        };
        let pool = helpers(contents.kinds.len());
        on(pool.as_deref(), || match pool {
            Some(_) => (0..sphere.rows()).into_par_iter().for_each(write),
            None => (0..sphere.rows()).for_each(write),
        });
        Ok(())
    }

    /// Writes the objects as if the tick before had made them, and takes them in as a successor does.
    fn restore_objects(&self, contents: &Contents, tick: u64) -> Result<Option<Factory>, RestoreError> {
        let objects = &contents.objects;
        let (Some(cards), Some(economy)) = (&self.cards, &self.options().ruleset.economy) else {
            return match objects.iter().next() {
                Some((key, _)) => {
                    Err(Corrupt { what: "object of a ruleset without an economy", found: key }.into())
                }
                None => Ok(None),
            };
        };
        Factory::check(economy, self.sphere(), objects.iter())?;
        if let Some((key, _)) = objects.iter().find(|(_, bytes)| bytes.len() > MAX_OBJECT) {
            return Err(Corrupt { what: "length of object", found: key }.into());
        }
        make_room(cards, objects.iter().map(|(_, bytes)| cards::parts(bytes.len()) as u64).sum())?;
        for (key, bytes) in objects.iter() {
            // At tick 0 nobody has acted yet.
            let before = tick.checked_sub(1).ok_or(Corrupt { what: "object at tick 0", found: key })?;
            cards.put(key, before, bytes).map_err(|_| Corrupt { what: "room for object", found: key })?;
        }
        Ok(Some(Factory::load(economy, self.sphere(), cards, tick)?))
    }
}

fn make_room(cards: &Cards, needed: u64) -> Result<(), CardsError> {
    while cards.free() < needed + CARDS_OF_ACTION {
        cards.extend()?;
    }
    Ok(())
}
