//! Light, work and start: the first three phases of a tick of the machines. In each, all machines act on the state
//! that the phase before left.

use super::field::Field;
use super::machine::{Craft, IDLE, KEPT, NOBODY, State};
use super::yard::{ByNumber, Owner, Role, Spot, Yard};
use crate::ruleset::{Economy, Recipe};

/// Most dynamos that drive a machine.
const MOST_DRIVE: u16 = 2;
/// Side of the machine that stands on the asked cell itself.
const ITSELF: u8 = 6;

/// Whether something may go from a machine to a neighbour.
pub(super) fn reach(from: Owner, to: Owner) -> bool {
    from.owner == to.owner || to.grant == from.owner
}

/// A machine that wants something of a field cell.
struct Ask {
    machine: u32,
    /// Where it stands, seen from the cell.
    side: u8,
}

pub(super) struct Phases<'a, 'w> {
    pub economy: &'a Economy,
    pub yard: &'a mut Yard,
    pub field: &'a mut Field<'w>,
    pub owners: &'a ByNumber<u32, Owner>,
    pub tick: u64,
}

impl Phases<'_, '_> {
    pub fn run(&mut self) {
        self.light();
        self.work();
        self.start();
    }

    fn working<'s>(&self, spot: &'s Spot) -> Option<&'s Craft> {
        match &spot.machine.state {
            State::Craft(craft) if !spot.halted && craft.is_working(self.economy) => Some(craft),
            _ => None,
        }
    }

    /// Dynamos that are out light a piece if somebody they reach is at work.
    fn light(&mut self) {
        for at in 0..self.yard.active.len() {
            let n = self.yard.active[at];
            if self.yard.role(n) != Role::Drive {
                continue;
            }
            let spot = self.yard.spot(n);
            let State::Drive(fuel) = spot.machine.state else { continue };
            let mut fuel = fuel;
            let lights = !spot.halted && fuel.burn == 0 && fuel.pieces > 0 && self.has_work(spot);
            let lit = lights && fuel.light(self.economy);
            let on = !spot.halted && fuel.burn > 0;
            if on {
                fuel.burn -= 1;
            }
            let was = spot.on;
            let spot = self.yard.spot_mut(n);
            spot.on = on;
            spot.machine.state = State::Drive(fuel);
            if lit || was != on {
                self.yard.stir(n);
            } else if on {
                self.yard.touch(n);
            }
        }
    }

    fn has_work(&self, dynamo: &Spot) -> bool {
        dynamo.beside.iter().any(|&n| {
            n != NOBODY && {
                let spot = self.yard.spot(n);
                let drive = self.economy.prototypes[usize::from(spot.machine.prototype)].drive;
                drive && self.working(spot).is_some() && reach(dynamo.owner, spot.owner)
            }
        })
    }

    /// Crafts get on, and end.
    fn work(&mut self) {
        for at in 0..self.yard.active.len() {
            let n = self.yard.active[at];
            if self.yard.role(n) != Role::Craft {
                continue;
            }
            let spot = self.yard.spot(n);
            let Some(&craft) = self.working(spot) else { continue };
            let mut craft = craft;
            let known = &self.economy.prototypes[usize::from(spot.machine.prototype)];
            let (mut stirred, work) = if known.burns {
                self.burn(&mut craft, spot.hot)
            } else {
                (false, u16::from(known.wind) + if known.drive { self.drive(spot) } else { 0 })
            };
            if work == 0 && !stirred {
                continue;
            }
            let Some(recipe) = craft.recipe(self.economy) else { continue };
            craft.progress = craft.progress.saturating_add(work).min(recipe.time);
            if craft.progress == recipe.time {
                stirred = true;
                if recipe.field.is_none() {
                    finish(&mut craft, recipe);
                }
            }
            self.yard.spot_mut(n).machine.state = State::Craft(craft);
            if stirred {
                self.yard.stir(n);
            } else {
                self.yard.touch(n);
            }
        }
    }

    /// A tick of a machine with a fire of its own: whether a piece was taken, and the work.
    fn burn(&self, craft: &mut Craft, hot: bool) -> (bool, u16) {
        if hot {
            return (false, 1);
        }
        let lit = craft.fuel.burn == 0 && craft.fuel.light(self.economy);
        if craft.fuel.burn == 0 {
            return (lit, 0);
        }
        craft.fuel.burn -= 1;
        (lit, 1)
    }

    fn drive(&self, spot: &Spot) -> u16 {
        let drives = |&&n: &&u32| {
            n != NOBODY && {
                let dynamo = self.yard.spot(n);
                dynamo.on && !dynamo.halted && reach(dynamo.owner, spot.owner)
            }
        };
        (spot.beside.iter().filter(drives).count() as u16).min(MOST_DRIVE)
    }

    /// Field units are granted, and crafts begin.
    fn start(&mut self) {
        for (machine, cell) in self.grants() {
            self.grant(machine, cell);
        }
    }

    /// Begins a craft that is idle and lacks nothing.
    fn begin(&mut self, n: u32) {
        let spot = self.yard.spot(n);
        let State::Craft(craft) = &spot.machine.state else { return };
        let Some(recipe) = craft.recipe(self.economy) else { return };
        if spot.halted || craft.progress != IDLE || recipe.harvest.is_some() || !craft.can_start(recipe) {
            return;
        }
        let mut craft = *craft;
        for (have, &(_, need)) in craft.inputs.iter_mut().zip(&recipe.inputs) {
            *have -= need;
        }
        craft.progress = 0;
        self.yard.spot_mut(n).machine.state = State::Craft(craft);
        self.yard.stir(n);
    }

    /// Who gets what of the field: each asked cell grants one machine, in an order that turns with the ticks. Crafts
    /// that need nothing of it begin.
    fn grants(&mut self) -> Vec<(u32, u32)> {
        let mut asked: ByNumber<u32, Vec<Ask>> = ByNumber::default();
        for at in 0..self.yard.active.len() {
            let n = self.yard.active[at];
            if self.yard.role(n) != Role::Craft {
                continue;
            }
            let spot = self.yard.spot(n);
            let State::Craft(craft) = &spot.machine.state else { continue };
            let Some(recipe) = self.waits_for_field(spot, craft) else {
                self.yard.set_waits(n, false);
                self.begin(n);
                continue;
            };
            let asks = self.ask(spot, recipe);
            self.yard.set_waits(n, asks.is_none());
            if let Some((cell, side)) = asks {
                asked.entry(cell).or_default().push(Ask { machine: n, side });
                // It may be refused, and asks again.
                self.yard.wake(n);
            }
        }
        let first = (self.tick % 7) as u8;
        let after = |side: u8| (side + 7 - first) % 7;
        asked
            .into_iter()
            .filter_map(|(cell, asks)| {
                asks.iter().min_by_key(|ask| after(ask.side)).map(|ask| (ask.machine, cell))
            })
            .collect()
    }

    /// The recipe of a machine that lacks nothing but something of the field.
    fn waits_for_field(&self, spot: &Spot, craft: &Craft) -> Option<&Recipe> {
        let recipe = craft.recipe(self.economy).filter(|_| !spot.halted)?;
        let waits = match recipe.field {
            Some(_) => craft.progress == recipe.time,
            None => recipe.harvest.is_some() && craft.progress == IDLE && craft.out < KEPT,
        };
        waits.then_some(recipe)
    }

    /// The cell that such a machine asks, and where it stands seen from there. One that finds no cell is woken when
    /// the field around it changes.
    fn ask(&self, spot: &Spot, recipe: &Recipe) -> Option<(u32, u8)> {
        let around = || [(spot.cell, ITSELF)].into_iter().chain(spot.around.into_iter().zip(spot.back));
        if let Some(change) = &recipe.field {
            let fits = |&(cell, _): &(u32, u8)| {
                self.field.kind(cell) == change.from && self.is_mine(spot.owner.owner, cell)
            };
            if change.around {
                return around().find(fits);
            }
            let front = usize::from(spot.machine.direction);
            return Some((spot.around[front], spot.back[front])).filter(fits);
        }
        let kind = recipe.harvest?;
        let least = match self.economy.harvest_of(kind) {
            Some(harvest) if harvest.free => 0,
            _ if recipe.last => 1,
            _ => 2,
        };
        around().find(|&(cell, _)| {
            let (found, amount) = self.field.cell(cell);
            found == kind
                && amount >= least
                && self.owners.get(&cell).is_none_or(|owner| owner.admits(spot.owner.owner))
        })
    }

    /// Whether a machine of `player` may change the field there: the cell is theirs and no neighbour is another's.
    fn is_mine(&self, player: u32, cell: u32) -> bool {
        let theirs = |cell: u32| self.owners.get(&cell).map(|owner| owner.owner);
        theirs(cell) == Some(player)
            && self
                .field
                .sphere()
                .neighbours(cell)
                .all(|beside| theirs(beside).is_none_or(|owner| owner == player))
    }

    fn grant(&mut self, n: u32, cell: u32) {
        let State::Craft(craft) = &self.yard.spot(n).machine.state else { return };
        let (mut craft, economy) = (*craft, self.economy);
        let Some(recipe) = craft.recipe(economy) else { return };
        if let Some(change) = &recipe.field {
            let amount = change.amount.unwrap_or_else(|| self.field.cell(cell).1);
            self.field.set(cell, change.to, amount);
            craft.made = craft.made.wrapping_add(1);
            craft.progress = IDLE;
        } else {
            let free = recipe.harvest.and_then(|kind| economy.harvest_of(kind)).is_some_and(|h| h.free);
            if !free {
                self.field.harvest(cell, 1);
            }
            craft.progress = 0;
        }
        self.yard.spot_mut(n).machine.state = State::Craft(craft);
        self.yard.stir(n);
        // One that has changed the field begins anew.
        self.begin(n);
    }
}

/// Ends a craft: what it makes goes to its slots, and what does not fit of the by-product is spilt.
fn finish(craft: &mut Craft, recipe: &Recipe) {
    if let Some((_, n)) = recipe.out {
        craft.out += n;
    }
    if let Some((_, n)) = recipe.by {
        let fits = n.min((KEPT * n).saturating_sub(craft.by));
        craft.by += fits;
        craft.spilt = craft.spilt.wrapping_add(u32::from(n - fits));
    }
    craft.made = craft.made.wrapping_add(1);
    craft.progress = IDLE;
}
