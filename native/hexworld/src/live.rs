//! The part of a tick that follows the field rule: actions, bodies and machines, and the memory they are kept in.

use shm::cards::Cards;
use shm::{Corrupt, Segment};

use crate::error::{NewWorldError, WriteError};
use crate::factory::{Action, BatchError, CARDS_OF_ACTION, Factory, Field, decode};
use crate::step::Step;
use crate::topology::Site;
use crate::world::World;

/// Actions that room is made for before it is known whether they need it: most of a great many are refused, or those
/// of one player, who leaves no more than so many outcomes.
const FORESEEN: usize = 1024;

impl World {
    /// The memory, to be handed over: of the cells, and then of what stands on them.
    pub fn segments(&self) -> Vec<&Segment> {
        let cards = self.cards.iter().flat_map(Cards::segments);
        [self.segment()].into_iter().chain(cards).collect()
    }

    /// Takes a further segment that [`World::reserve`] made on the other side.
    pub fn attach(&self, segment: Segment) -> Result<(), NewWorldError> {
        match &self.cards {
            Some(cards) => Ok(cards.attach(segment)?),
            None => Err(NewWorldError::Segments(2)),
        }
    }

    /// Makes room for what that many actions may make, and says how many segments came to be. Very many actions,
    /// machines and deeds under way may need more: after [`WriteError::Full`] it makes at least one, and the world is
    /// advanced again.
    pub fn reserve(&self, actions: usize) -> Result<usize, NewWorldError> {
        let Some(cards) = &self.cards else { return Ok(0) };
        let mut made = 0;
        while cards.free() < CARDS_OF_ACTION * (actions.min(FORESEEN) as u64 + 1) {
            cards.extend()?;
            made += 1;
        }
        Ok(made)
    }

    /// Takes the actions of `tick`, the next one to be executed, in the place of any that were taken for it before.
    /// Those of a tick that has passed are left out: they are in it already.
    ///
    /// The bytes are a batch of [`crate::factory`].
    pub fn act(&self, tick: u64, batch: &[u8]) -> Result<(), BatchError> {
        let Some(economy) = &self.options().ruleset.economy else { return Err(BatchError::NoEconomy) };
        let mut ticker = self.ticker().map_err(|_| BatchError::Busy)?;
        let published = self.tick()?;
        if tick < published {
            return Ok(());
        }
        if tick > published {
            return Err(BatchError::Early { batch: tick, tick: published });
        }
        ticker.actions = decode(economy, self.sphere().cells(), batch)?;
        Ok(())
    }

    /// The working copy, which is made of what is published if there is none.
    pub(crate) fn loaded<'a>(
        &self,
        cards: &Cards,
        factory: &'a mut Option<Factory>,
    ) -> Result<&'a mut Factory, Corrupt> {
        if factory.is_none() {
            let tick = self.tick()?;
            let economy = self.options().ruleset.economy.as_ref();
            let economy = economy.ok_or(Corrupt { what: "cards without an economy", found: tick })?;
            // A writer that died in mid-tick has left rows of a tick that never was.
            self.rows.forget(tick);
            *factory = Some(Factory::load(economy, self.sphere(), cards, tick)?);
        }
        factory.as_mut().ok_or(Corrupt { what: "objects", found: 0 })
    }

    /// Everything that follows the field rule in the tick of `step`, whose rows `acted` are written.
    pub(crate) fn act_machines(
        &self,
        cards: &Cards,
        factory: &mut Option<Factory>,
        step: &Step,
        acted: &[u32],
        actions: &[Action],
    ) -> Result<(), WriteError> {
        let factory = self.loaded(cards, factory)?;
        let mut field = Field::new(self, step.tick);
        factory.tick(step.tick, acted, actions, &mut field);
        self.amend(step, field.into_changes());
        factory.commit(cards, step.tick).map_err(WriteError::from)
    }

    /// Makes room, if that is what a tick lacked and nobody else has to be handed the memory.
    pub(crate) fn widen(&self, cards: &Cards, fault: WriteError) -> Result<(), WriteError> {
        if fault != WriteError::Full || self.segment().fd().is_some() {
            return Err(fault);
        }
        cards.extend().map(drop).map_err(|_| fault)
    }

    /// Writes cells, ascending, into the unpublished state.
    fn amend(&self, step: &Step, changes: Vec<(u32, u8, u16)>) {
        let sites: Vec<_> = changes
            .into_iter()
            .map(|(cell, kind, amount)| (self.sphere().site(cell), self.tables.code(kind, amount), amount))
            .collect();
        for row in sites.chunk_by(|(a, ..), (b, ..)| a.row == b.row) {
            let cells: Vec<_> = row.iter().map(|&(site, code, amount)| (site.col, code, amount)).collect();
            self.rows.amend(row[0].0.row, step.tick, step.needed, &cells);
        }
    }

    /// The kind of a cell as the tick under way leaves it so far.
    pub(crate) fn unpublished_kind(&self, cell: u32, tick: u64) -> u8 {
        let Site { row, col } = self.sphere().site(cell);
        self.rows.code(row, self.rows.current(row, tick + 1), col) & 7
    }

    /// The same with the amount.
    pub(crate) fn unpublished_cell(&self, cell: u32, tick: u64) -> (u8, u16) {
        let Site { row, col } = self.sphere().site(cell);
        let version = self.rows.current(row, tick + 1);
        (self.rows.code(row, version, col) & 7, self.rows.amount(row, version, col))
    }
}
