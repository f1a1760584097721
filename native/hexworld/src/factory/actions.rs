//! The actions that take no time. Each is checked in the order of `docs/rules.md`, and a refused one changes nothing.

use super::batch::{Code, Op};
use super::machine::{
    By, Carried, Craft, Fuel, IDLE, Lane, Machine, NONE, State, add_to, count_of, take_from, total,
};
use super::{Factory, Field};
use crate::ruleset::Economy;

/// Items with how many of each.
type Counts = Vec<(u8, u16)>;

impl Factory {
    pub(super) fn apply(&mut self, field: &Field, number: u32, op: &Op) -> Result<(), Code> {
        match *op {
            Op::Claim { cell } => self.claim(number, cell),
            Op::Release { cell } => self.release(number, cell),
            Op::Place { cell, prototype, direction } => self.place(field, number, cell, prototype, direction),
            Op::Remove { cell } => self.remove(number, cell),
            Op::Rotate { cell, direction } => {
                let n = self.usable(number, cell)?;
                self.yard.spot_mut(n).machine.direction = direction;
                self.yard.stir(n);
                Ok(())
            }
            Op::SetRecipe { cell, recipe, item } => self.set_recipe(number, cell, recipe, item),
            Op::Take { cell, item, count } => self.take(number, cell, item, count),
            Op::Put { cell, item, count } => self.put(number, cell, item, count),
            Op::Grant { cell, ref player } => self.grant(number, cell, player.as_deref()),
            // They are no instant actions.
            Op::Join { .. } | Op::Body(_) => Ok(()),
        }
    }

    /// The machine on a cell that a player may use.
    fn usable(&self, number: u32, cell: u32) -> Result<u32, Code> {
        self.rights(number, cell)?;
        self.yard.at(cell).ok_or(Code::NoMachine)
    }

    fn place(
        &mut self,
        field: &Field,
        number: u32,
        cell: u32,
        prototype: u8,
        direction: u8,
    ) -> Result<(), Code> {
        self.not_reserved(cell)?;
        let owned = self.owners.contains_key(&cell);
        if owned {
            self.rights(number, cell)?;
            if self.yard.at(cell).is_some() {
                return Err(Code::Occupied);
            }
        } else {
            self.not_touching(number, cell)?;
            if !self.touches_own(number, cell) {
                return Err(Code::NotAdjacent);
            }
        }
        let mut cost = self.economy.prototypes[usize::from(prototype)].cost.clone();
        if !owned {
            add_to(&mut cost, self.economy.claim.item, self.economy.price(self.player(number).claims));
        }
        if cost.iter().any(|&(item, count)| self.player(number).has(item) < count) {
            return Err(Code::MissingItems);
        }
        let player = self.player_mut(number);
        for (item, count) in cost {
            take_from(&mut player.inventory, item, count);
        }
        let owner = if owned { self.owners[&cell] } else { self.own(number, cell) };
        let recipe = self.first_recipe(field, cell, prototype);
        let machine = Machine::new(&self.economy, prototype, direction, recipe);
        self.set_up(cell, machine, owner);
        Ok(())
    }

    /// The recipe that a new machine begins with: that of most of what lies around it, if it takes from the field.
    fn first_recipe(&self, field: &Field, cell: u32, prototype: u8) -> u8 {
        let economy = &self.economy;
        if let Some(recipe) = economy.prototypes[usize::from(prototype)].default {
            return recipe;
        }
        let mut totals = [0u32; 8];
        for cell in self.sphere.neighbours(cell).chain([cell]) {
            let (kind, amount) = field.cell(cell);
            totals[usize::from(kind)] += u32::from(amount);
        }
        let mut best: Option<(u32, u8, u8)> = None;
        let mut first_free = NONE;
        for (n, recipe) in (0..).zip(&economy.recipes) {
            let Some(kind) = recipe.harvest.filter(|_| recipe.at == prototype) else { continue };
            if economy.harvest_of(kind).is_some_and(|harvest| harvest.free) {
                first_free = if first_free == NONE { n } else { first_free };
                continue;
            }
            let total = totals[usize::from(kind)];
            let better = best.is_none_or(|(most, least, _)| total > most || total == most && kind < least);
            if total > 0 && better {
                best = Some((total, kind, n));
            }
        }
        best.map_or(first_free, |(_, _, recipe)| recipe)
    }

    fn remove(&mut self, number: u32, cell: u32) -> Result<(), Code> {
        let n = self.usable(number, cell)?;
        let spot = self.yard.spot(n);
        let owner = spot.owner.owner;
        let mut refund = self.economy.prototypes[usize::from(spot.machine.prototype)].cost.clone();
        contents(&self.economy, &spot.machine, &mut refund);
        self.refund(owner, &refund)?;
        self.tear_down(n);
        Ok(())
    }

    /// Gives items to a player, all or none.
    fn refund(&mut self, number: u32, items: &[(u8, u16)]) -> Result<(), Code> {
        if total(items) > self.player(number).free(&self.economy) {
            return Err(Code::InventoryFull);
        }
        let player = self.player_mut(number);
        for &(item, count) in items {
            add_to(&mut player.inventory, item, count);
        }
        Ok(())
    }

    fn set_recipe(&mut self, number: u32, cell: u32, recipe: u8, item: u8) -> Result<(), Code> {
        let n = self.usable(number, cell)?;
        let spot = self.yard.spot(n);
        match spot.machine.state {
            State::Craft(craft) => {
                // Without a recipe it stops; a name that is an item's alone is none of its recipes.
                let fits = match recipe {
                    NONE => item == NONE,
                    recipe => self.economy.recipes[usize::from(recipe)].at == spot.machine.prototype,
                };
                if !fits {
                    return Err(Code::WrongRecipe);
                }
                if recipe == craft.recipe {
                    return Ok(());
                }
                let mut back = Vec::new();
                slots(&self.economy, &craft, &mut back);
                self.refund(spot.owner.owner, &back)?;
                let empty = Craft { recipe, progress: IDLE, inputs: [0; 4], out: 0, by: 0, ..craft };
                self.yard.spot_mut(n).machine.state = State::Craft(empty);
            }
            State::Sort { .. } | State::Store { .. } => {
                if item == NONE && recipe != NONE {
                    return Err(Code::WrongRecipe);
                }
                match &mut self.yard.spot_mut(n).machine.state {
                    State::Sort { filter, .. } | State::Store { filter, .. } => *filter = item,
                    _ => {}
                }
            }
            _ => return Err(Code::WrongRecipe),
        }
        self.yard.stir(n);
        Ok(())
    }

    fn take(&mut self, number: u32, cell: u32, item: u8, count: u16) -> Result<(), Code> {
        if !self.is_near(number, cell) {
            return Err(Code::TooFar);
        }
        let n = self.usable(number, cell)?;
        let mut machine = self.yard.spot(n).machine.clone();
        take_out(&self.economy, &mut machine, item, count)?;
        if self.player(number).free(&self.economy) < u32::from(count) {
            return Err(Code::InventoryFull);
        }
        self.yard.spot_mut(n).machine = machine;
        self.yard.stir(n);
        add_to(&mut self.player_mut(number).inventory, item, count);
        Ok(())
    }

    fn put(&mut self, number: u32, cell: u32, item: u8, count: u16) -> Result<(), Code> {
        if !self.is_near(number, cell) {
            return Err(Code::TooFar);
        }
        let n = self.usable(number, cell)?;
        if self.player(number).has(item) < count {
            return Err(Code::NotEnough);
        }
        let mut machine = self.yard.spot(n).machine.clone();
        put_in(&self.economy, &mut machine, item, count)?;
        self.yard.spot_mut(n).machine = machine;
        self.yard.stir(n);
        take_from(&mut self.player_mut(number).inventory, item, count);
        Ok(())
    }
}

/// The inputs, products and by-products of a craft, and what the one in progress took.
fn slots(economy: &Economy, craft: &Craft, items: &mut Counts) {
    let Some(recipe) = craft.recipe(economy) else { return };
    for (&(item, need), have) in recipe.inputs.iter().zip(craft.inputs) {
        add_to(items, item, have + if craft.progress == IDLE { 0 } else { need });
    }
    for (made, have) in [(recipe.out, craft.out), (recipe.by, craft.by)] {
        if let Some((item, _)) = made {
            add_to(items, item, have);
        }
    }
}

/// All that can be had back of a machine.
fn contents(economy: &Economy, machine: &Machine, items: &mut Counts) {
    let carried = |carried: &Carried, items: &mut Counts| {
        if carried.item != NONE {
            add_to(items, carried.item, 1);
        }
    };
    let fuel = |fuel: &Fuel, items: &mut Counts| add_to(items, fuel.item, u16::from(fuel.pieces));
    match &machine.state {
        State::Carry(slot) | State::Split { carried: slot, .. } | State::Sort { carried: slot, .. } => {
            carried(slot, items);
        }
        State::Cross(lanes) => lanes.iter().for_each(|lane| carried(&lane.carried, items)),
        State::Store { counts, .. } => counts.iter().for_each(|&(item, count)| add_to(items, item, count)),
        State::Craft(craft) => {
            slots(economy, craft, items);
            fuel(&craft.fuel, items);
        }
        State::Drive(burning) => fuel(burning, items),
    }
}

/// Takes items out by hand: products first, then by-products, inputs, fuel.
fn take_out(economy: &Economy, machine: &mut Machine, item: u8, count: u16) -> Result<(), Code> {
    let mut left = count;
    let mut some = |have: &mut u16| {
        let taken = left.min(*have);
        *have -= taken;
        left -= taken;
    };
    let mut slot = |carried: &mut Carried| {
        let mut have = u16::from(carried.item == item);
        some(&mut have);
        if carried.item == item && have == 0 {
            *carried = Carried::EMPTY;
        }
    };
    match &mut machine.state {
        State::Carry(carried) | State::Split { carried, .. } | State::Sort { carried, .. } => slot(carried),
        State::Cross(lanes) => {
            for lane in lanes.iter_mut() {
                slot(&mut lane.carried);
                if lane.carried.item == NONE {
                    *lane = Lane { carried: Carried::EMPTY, out_side: 0 };
                }
            }
        }
        State::Store { counts, .. } => {
            let taken = count.min(count_of(counts, item));
            take_from(counts, item, taken);
            left -= taken;
        }
        State::Craft(craft) => {
            if let Some(recipe) = craft.recipe(economy) {
                let out = recipe.out.filter(|&(made, _)| made == item).map(|_| &mut craft.out);
                let by = recipe.by.filter(|&(made, _)| made == item).map(|_| &mut craft.by);
                out.into_iter().chain(by).for_each(&mut some);
                for (have, _) in
                    craft.inputs.iter_mut().zip(&recipe.inputs).filter(|(_, wanted)| wanted.0 == item)
                {
                    some(have);
                }
            }
            take_fuel(&mut craft.fuel, item, &mut left);
        }
        State::Drive(fuel) => take_fuel(fuel, item, &mut left),
    }
    if left == 0 { Ok(()) } else { Err(Code::NotEnough) }
}

fn take_fuel(fuel: &mut Fuel, item: u8, left: &mut u16) {
    if fuel.item == item {
        let taken = u16::from(fuel.pieces).min(*left);
        fuel.take(taken as u8);
        *left -= taken;
    }
}

/// Puts items in by hand, piece by piece; all must fit.
fn put_in(economy: &Economy, machine: &mut Machine, item: u8, count: u16) -> Result<(), Code> {
    let (prototype, known) = (machine.prototype, &economy.prototypes[usize::from(machine.prototype)]);
    match &mut machine.state {
        State::Store { counts, .. } => {
            if total(counts) + u32::from(count) > u32::from(known.room) {
                return Err(Code::Full);
            }
            add_to(counts, item, count);
        }
        State::Craft(craft) if craft.wants(economy, prototype, item) => {
            for _ in 0..count {
                let slot = craft.placement(economy, prototype, item, By::Hand).ok_or(Code::Full)?;
                craft.place(slot, item);
            }
        }
        State::Drive(fuel) if economy.items[usize::from(item)].burns > 0 => {
            for _ in 0..count {
                if !fuel.takes(economy, item, By::Hand) {
                    return Err(Code::Full);
                }
                fuel.put(item);
            }
        }
        _ => return Err(Code::NotAccepted),
    }
    Ok(())
}
