//! Who looks when a row of the field has acted: machines that a fire there halts or heats, and those that wait for what
//! the field gives. Kept by row, so that a tick looks at a sixteenth of it, and close together, since most look in vain.

use super::field::RowView;
use super::yard::{ByNumber, Spot, Yard};
use crate::ruleset::Economy;
use crate::topology::Sphere;

/// A cell whose fire a machine feels.
#[derive(Debug)]
struct Hearth {
    col: u32,
    machine: u32,
    /// It may have burnt when it was looked at last.
    burning: bool,
}

#[derive(Debug, Default)]
struct Row {
    hearths: Vec<Hearth>,
    /// Machines that take from the field.
    takers: Vec<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Watch {
    rows: ByNumber<u32, Row>,
}

impl Watch {
    /// Begins to watch for a machine.
    pub fn add(&mut self, economy: &Economy, sphere: Sphere, n: u32, spot: &Spot) {
        let sites = cells(economy, spot).map(|cell| sphere.site(cell));
        let takes = takes(economy, spot);
        for (at, site) in sites.enumerate() {
            let row = self.rows.entry(site.row).or_default();
            if at == 0 || has_fire(economy, spot) {
                row.hearths.push(Hearth { col: site.col, machine: n, burning: false });
            }
            if takes && row.takers.last() != Some(&n) {
                row.takers.push(n);
            }
        }
    }

    /// Watches no more.
    pub fn remove(&mut self, economy: &Economy, sphere: Sphere, n: u32, spot: &Spot) {
        for cell in cells(economy, spot) {
            if let Some(row) = self.rows.get_mut(&sphere.site(cell).row) {
                row.hearths.retain(|hearth| hearth.machine != n);
                row.takers.retain(|&taker| taker != n);
            }
        }
    }

    /// A machine feels a fire: it is to look when any of the cells acts by which it may have gone out.
    pub fn burns(&mut self, economy: &Economy, sphere: Sphere, n: u32, spot: &Spot) {
        for cell in cells(economy, spot) {
            if let Some(row) = self.rows.get_mut(&sphere.site(cell).row) {
                let hearths = row.hearths.iter_mut().filter(|hearth| hearth.machine == n);
                hearths.for_each(|hearth| hearth.burning = true);
            }
        }
    }

    /// The machines that are to look because a row has acted.
    pub fn acted(&mut self, row: u32, view: &RowView, fire: Option<u8>, yard: &Yard, looks: &mut Vec<u32>) {
        let Some(row) = self.rows.get_mut(&row) else { return };
        if let Some(fire) = fire {
            for hearth in &mut row.hearths {
                let burning = view.kind(hearth.col) == fire;
                if burning || hearth.burning {
                    looks.push(hearth.machine);
                }
                hearth.burning = burning;
            }
        }
        looks.extend(row.takers.iter().filter(|&&taker| yard.waits(taker)));
    }
}

fn has_fire(economy: &Economy, spot: &Spot) -> bool {
    economy.prototypes[usize::from(spot.machine.prototype)].burns
}

fn takes(economy: &Economy, spot: &Spot) -> bool {
    let mut recipes = economy.recipes_at(spot.machine.prototype);
    recipes.any(|(_, recipe)| recipe.harvest.is_some() || recipe.field.is_some())
}

/// Its own cell, and those around if they matter to it.
fn cells<'a>(economy: &Economy, spot: &'a Spot) -> impl Iterator<Item = u32> + use<'a> {
    let around = if has_fire(economy, spot) || takes(economy, spot) { &spot.around[..] } else { &[] };
    [spot.cell].into_iter().chain(around.iter().copied())
}
