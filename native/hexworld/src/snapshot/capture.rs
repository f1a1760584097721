//! Copying a world out of its memory.

use std::sync::PoisonError;

use rayon::prelude::*;
use shm::Corrupt;
use shm::rows::{Cells, Pin};
use wire::snapshot::{Header, TooLarge};

use super::contents::{Contents, Objects};
use super::{helpers, on};
use crate::error::ReadError;
use crate::factory::Factory;
use crate::read::PIN_LEASE;
use crate::world::World;

/// A copy of a world at one tick, which owes nothing to the world any more.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The tick.
    pub tick: u64,
    seed: u64,
    ruleset_hash: [u8; 32],
    contents: Contents,
}

impl World {
    /// Copies the published state. No tick may be published until `resume` is called; after that ticks go on while
    /// the cells are copied. Not called if it fails before.
    ///
    /// # Errors
    ///
    /// [`ReadError::Busy`] if ticks were faster than the copying, or something else reads at length: try again, and
    /// in the end without ticks until this returns. [`ReadError::Corrupt`] if what was copied is no state.
    pub fn capture(&self, resume: impl FnOnce()) -> Result<Capture, ReadError> {
        let _one = self.long_read.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_ready() {
            return Err(ReadError::Busy);
        }
        let pin = self.rows.pin(PIN_LEASE)?;
        let mut objects = Objects::default();
        let scanned = match &self.cards {
            Some(cards) => cards.scan(pin.tick, |key, bytes| objects.push(key, bytes)),
            None => Ok(()),
        };
        if self.tick()? != pin.tick {
            return Err(ReadError::Busy);
        }
        scanned?;
        resume();
        let (kinds, amounts) = self.copy_rows(&pin)?;
        let tick = pin.tick;
        drop(pin);
        objects.sort()?;
        if let Some(economy) = &self.options().ruleset.economy {
            Factory::check(economy, self.sphere(), objects.iter())?;
        }
        let contents = Contents::new(self.sphere(), kinds, amounts, objects)
            .ok_or(Corrupt { what: "number of cells", found: 0 })?;
        Ok(Capture { tick, seed: self.options().seed, ruleset_hash: self.ruleset_hash(), contents })
    }

    fn copy_rows(&self, pin: &Pin) -> Result<(Vec<u8>, Vec<u16>), ReadError> {
        let (sphere, f) = (self.sphere(), self.sphere().frequency() as usize);
        let cells = sphere.cells() as usize;
        let (mut kinds, mut amounts) = (vec![0; cells], vec![0; cells]);
        let copy = |row, cells: &mut Cells, kinds: &mut [u8], amounts: &mut [u16]| {
            self.read_pinned(pin, row, cells)?;
            for (kind, checked) in kinds.iter_mut().zip(self.kinds(cells)) {
                *kind = checked?;
            }
            amounts.copy_from_slice(&cells.amounts);
            Ok::<(), ReadError>(())
        };
        let (long, poles) = kinds.split_at_mut(cells - 2);
        let (long_amounts, pole_amounts) = amounts.split_at_mut(cells - 2);
        let pool = helpers(cells);
        on(pool.as_deref(), || match pool {
            Some(_) => {
                let rows = long.par_chunks_mut(f).zip(long_amounts.par_chunks_mut(f)).enumerate();
                rows.try_for_each_init(Cells::default, |cells, (row, (kinds, amounts))| {
                    copy(row as u32, cells, kinds, amounts)
                })
            }
            None => {
                let mut cells = Cells::default();
                let mut rows = (0..).zip(long.chunks_mut(f).zip(long_amounts.chunks_mut(f)));
                rows.try_for_each(|(row, (kinds, amounts))| copy(row, &mut cells, kinds, amounts))
            }
        })?;
        let mut cells = Cells::default();
        for (n, (kind, amount)) in poles.chunks_mut(1).zip(pole_amounts.chunks_mut(1)).enumerate() {
            copy((10 * f + n) as u32, &mut cells, kind, amount)?;
        }
        Ok((kinds, amounts))
    }
}

impl Capture {
    /// The snapshot; its digest is computed from what was copied.
    ///
    /// # Errors
    ///
    /// What is too large for the format: the text of the ruleset.
    pub fn encode(&self, ruleset: &str) -> Result<Vec<u8>, TooLarge> {
        let Capture { tick, seed, ruleset_hash, ref contents } = *self;
        let (digest, field) = contents.digest_and_field(tick, seed, &ruleset_hash);
        let frequency = contents.sphere.frequency();
        contents.write(&Header { frequency, tick, seed, ruleset_hash, digest }, ruleset, &field)
    }

    /// What was copied.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }
}
