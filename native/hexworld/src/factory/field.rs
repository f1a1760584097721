//! The field as the tick under way leaves it: the rule has acted, and what actions and machines change comes on top.

use shm::rows::Version;

use super::yard::ByNumber;
use crate::topology::Sphere;
use crate::world::World;

/// The field between the rule's part of a tick and the end of it.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    world: &'a World,
    tick: u64,
    /// Cells that actions and machines have changed in this tick.
    changes: ByNumber<u32, (u8, u16)>,
    /// The same in order, a cell as often as it was changed.
    changed: Vec<u32>,
}

impl<'a> Field<'a> {
    pub fn new(world: &'a World, tick: u64) -> Self {
        Field { world, tick, changes: ByNumber::default(), changed: Vec::new() }
    }

    pub fn sphere(&self) -> Sphere {
        self.world.sphere()
    }

    /// Kind and amount.
    pub fn cell(&self, cell: u32) -> (u8, u16) {
        if !self.changes.is_empty()
            && let Some(&changed) = self.changes.get(&cell)
        {
            return changed;
        }
        self.world.unpublished_cell(cell, self.tick)
    }

    pub fn kind(&self, cell: u32) -> u8 {
        if !self.changes.is_empty()
            && let Some(&(kind, _)) = self.changes.get(&cell)
        {
            return kind;
        }
        self.world.unpublished_kind(cell, self.tick)
    }

    /// A row without what actions and machines have changed in this tick.
    pub fn row(&self, row: u32) -> RowView<'a> {
        RowView { world: self.world, row, version: self.world.rows.current(row, self.tick + 1) }
    }

    /// Makes a cell something else; with amount 0 it becomes what its kind is spent to.
    pub fn set(&mut self, cell: u32, kind: u8, amount: u16) {
        let kind =
            if amount == 0 { self.world.options().ruleset.kinds[usize::from(kind)].spent } else { kind };
        self.changes.insert(cell, (kind, amount));
        self.changed.push(cell);
    }

    /// Takes `count` from a cell that has as much.
    pub fn harvest(&mut self, cell: u32, count: u16) {
        let (kind, amount) = self.cell(cell);
        self.set(cell, kind, amount - count);
    }

    /// The cells changed so far, from the `from`th change on.
    pub fn changed(&self, from: usize) -> &[u32] {
        &self.changed[from.min(self.changed.len())..]
    }

    /// The changes, by cell.
    pub fn into_changes(self) -> Vec<(u32, u8, u16)> {
        let mut changes: Vec<_> =
            self.changes.into_iter().map(|(cell, (kind, amount))| (cell, kind, amount)).collect();
        changes.sort_unstable();
        changes
    }
}

/// A row as the rule has left it.
pub(crate) struct RowView<'a> {
    world: &'a World,
    row: u32,
    version: Version,
}

impl RowView<'_> {
    pub fn kind(&self, col: u32) -> u8 {
        self.world.rows.code(self.row, self.version, col) & 7
    }
}
