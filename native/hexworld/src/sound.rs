//! Whether a world's memory can be what it is. Another process may write it, and may be broken: what follows
//! from the options and the tick alone is compared with what is found.
//!
//! The beat says when each row has acted last, so the stamp of its current version is known beforehand, or, if
//! something else changes cells too, bounded by it; a code follows from kind and amount. Nonsense that fits all of
//! this is taken for cells.

use shm::Corrupt;
use shm::rows::{Cells, Version};

use crate::beat;
use crate::error::ReadError;
use crate::factory::Factory;
use crate::world::World;

/// Bits of a code that are never set.
const NO_CODE: u8 = !0x0f;

impl World {
    /// The tick since which `row` is what the rule has made it, at `tick`.
    pub(crate) fn since(&self, row: u32, tick: u64) -> u64 {
        let options = self.options();
        beat::last(options.seed, options.ruleset.beat, row, tick).map_or(0, |acted| acted + 1)
    }

    /// Whether the version of `row` that is current at `tick` can have this stamp.
    pub(crate) fn is_stamp(&self, row: u32, tick: u64, stamp: u64) -> bool {
        let since = self.since(row, tick);
        if self.cards.is_some() { (since..=tick).contains(&stamp) } else { stamp == since }
    }

    /// Whether this can be the version that is current at `tick`.
    pub(crate) fn check_stamp(&self, row: u32, tick: u64, version: Version) -> Result<(), Corrupt> {
        if self.is_stamp(row, tick, version.stamp) {
            return Ok(());
        }
        Err(Corrupt { what: "row stamp", found: version.stamp })
    }

    /// Why a row cannot be read: the world is too fast, or its stamps cannot be.
    pub(crate) fn fault(&self, row: u32) -> ReadError {
        let fault = self.rows.fault(row);
        let Ok(tick) = self.tick() else { return fault.into() };
        let version = self.rows.current(row, tick);
        // While that tick is the published one nobody touches what is current at it.
        match self.check_stamp(row, tick, version) {
            Err(corrupt) if self.tick() == Ok(tick) => ReadError::Corrupt(corrupt),
            _ => fault.into(),
        }
    }

    /// The kind in a code. A code follows from kind and amount, so one that does not was not written by
    /// the rule.
    pub(crate) fn kind(&self, code: u8, amount: u16) -> Result<u8, Corrupt> {
        let kind = code & 7;
        let sound =
            usize::from(kind) < self.options().ruleset.kinds.len() && self.tables.code(kind, amount) == code;
        if sound { Ok(kind) } else { Err(Corrupt { what: "cell", found: u64::from(code) }) }
    }

    /// The kinds in a row's codes, checked.
    pub(crate) fn kinds<'a>(
        &'a self,
        cells: &'a Cells,
    ) -> impl Iterator<Item = Result<u8, Corrupt>> + use<'a> {
        cells.codes.iter().zip(&cells.amounts).map(|(&code, &amount)| self.kind(code, amount))
    }

    pub(crate) fn check_cells(&self, cells: &Cells) -> Result<(), Corrupt> {
        self.kinds(cells).try_for_each(|kind| kind.map(drop))
    }

    /// The whole of the memory as it is published, while nobody writes: the tick, and whether the first state
    /// is whole.
    pub fn check(&self) -> Result<(u64, bool), Corrupt> {
        self.rows.check()?;
        let (tick, ready) = (self.tick()?, self.is_ready());
        if !ready {
            // Nothing counts yet, and all of it is written anew.
            return if tick == 0 { Ok((0, false)) } else { Err(Corrupt { what: "ready", found: tick }) };
        }
        let mut cells = Cells::default();
        for row in 0..self.sphere().rows() {
            self.read_at_rest(row, tick, &mut cells)?;
            self.check_cells(&cells)?;
        }
        if let (Some(cards), Some(economy)) = (&self.cards, &self.options().ruleset.economy) {
            Factory::load(economy, self.sphere(), cards, tick)?;
        }
        Ok((tick, true))
    }
}

/// A cheap look at codes that were not checked one by one.
pub(crate) fn check_codes(codes: &[u8]) -> Result<(), Corrupt> {
    match codes.iter().fold(0, |bits, code| bits | code) & NO_CODE {
        0 => Ok(()),
        found => Err(Corrupt { what: "codes of a row", found: u64::from(found) }),
    }
}
