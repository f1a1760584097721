//! The last phase of a tick: items move from machine to machine, all at once.
//!
//! Who has something to give offers it where there is room now; each machine grants one of the offers made to it,
//! beginning one side after the one it granted last, so that saturated inputs get equal shares.

use super::machine::{By, Carried, Lane, NOBODY, NONE, State, add_to, count_of, take_from, total};
use super::phases::reach;
use super::yard::{Spot, Yard};
use crate::ruleset::Economy;

/// An item that goes.
struct Move {
    from: u32,
    from_side: u8,
    to: u32,
    to_side: u8,
    item: u8,
}

pub(super) struct Moves<'a> {
    pub economy: &'a Economy,
    pub yard: &'a mut Yard,
    pub tick: u64,
}

impl Moves<'_> {
    pub fn run(&mut self) {
        let granted = self.granted();
        self.yard.end();
        for step in &granted {
            self.give(step);
            self.receive(step);
        }
    }

    /// The offers that are granted.
    fn granted(&mut self) -> Vec<Move> {
        let mut offered: Vec<u32> = Vec::new();
        for at in 0..self.yard.active.len() {
            let n = self.yard.active[at];
            let (offers, waits) = self.offers(self.yard.spot(n));
            if waits {
                self.yard.wake(n);
            }
            for (side, _) in offers.into_iter().flatten() {
                let spot = self.yard.spot(n);
                let (to, back) = (spot.beside[usize::from(side)], spot.back[usize::from(side)]);
                let target = self.yard.spot_mut(to);
                if target.offered == 0 {
                    offered.push(to);
                }
                target.offered |= 1 << back;
            }
        }
        offered.into_iter().map(|to| self.grant(to)).collect()
    }

    fn grant(&mut self, to: u32) -> Move {
        let target = self.yard.spot_mut(to);
        let mask = std::mem::take(&mut target.offered);
        let last = target.machine.side;
        let to_side = (1..=6).map(|n| (last + n) % 6).find(|side| mask & (1 << side) != 0).unwrap_or(last);
        let (from, from_side) = (target.beside[usize::from(to_side)], target.back[usize::from(to_side)]);
        let (offers, _) = self.offers(self.yard.spot(from));
        let item = offers.into_iter().flatten().find(|&(side, _)| side == from_side);
        let item = item.map_or(NONE, |(_, item)| item);
        Move { from, from_side, to, to_side, item }
    }

    /// What a machine offers, by the side it leaves; and whether it waits for nothing but time.
    fn offers(&self, spot: &Spot) -> ([Option<(u8, u8)>; 3], bool) {
        let machine = &spot.machine;
        if spot.halted {
            return ([None; 3], false);
        }
        let offer = |turns: u8, item: u8| self.offer(spot, machine.side_at(turns), item);
        let wait = |carried: &Carried| carried.item != NONE && carried.ready > self.tick;
        let goes = |carried: &Carried| carried.item != NONE && carried.ready <= self.tick;
        let one = |offer| [offer, None, None];
        match &machine.state {
            State::Carry(carried) if goes(carried) => (one(offer(0, carried.item)), false),
            State::Split { carried, turn } if goes(carried) => {
                // Left, front and right are one, none and five turns from the front.
                let ports = [1, 0, 5];
                let next = (1..=3).map(|n| ports[usize::from((turn + n) % 3)]);
                (one(next.into_iter().find_map(|turns| offer(turns, carried.item))), false)
            }
            State::Sort { carried, filter, .. } if goes(carried) && carried.item == *filter => {
                (one(offer(0, carried.item)), false)
            }
            State::Sort { carried, turn, .. } if goes(carried) => {
                let ports = if *turn == 0 { [5, 1] } else { [1, 5] };
                (one(ports.into_iter().find_map(|turns| offer(turns, carried.item))), false)
            }
            State::Carry(carried) | State::Split { carried, .. } | State::Sort { carried, .. } => {
                (one(None), wait(carried))
            }
            State::Cross(lanes) => {
                let offers = std::array::from_fn(|n| {
                    let Lane { carried, out_side } = lanes[n];
                    if goes(&carried) { self.offer(spot, out_side, carried.item) } else { None }
                });
                (offers, lanes.iter().any(|lane| wait(&lane.carried)))
            }
            State::Store { filter, ready, counts } => {
                let has = *filter != NONE && count_of(counts, *filter) > 0;
                let goes = has && *ready <= self.tick;
                (one(if goes { offer(0, *filter) } else { None }), has && !goes)
            }
            State::Craft(craft) => {
                let recipe = craft.recipe(self.economy);
                let product = recipe.and_then(|recipe| recipe.out).filter(|_| craft.out > 0);
                let by = recipe.and_then(|recipe| recipe.by).filter(|_| craft.by > 0);
                let first = product.and_then(|(item, _)| offer(0, item));
                ([first, by.and_then(|(item, _)| offer(4, item)), None], false)
            }
            State::Drive(_) => (one(None), false),
        }
    }

    /// The offer of `item` by a side, if whoever stands there takes it now.
    fn offer(&self, spot: &Spot, side: u8, item: u8) -> Option<(u8, u8)> {
        let n = spot.beside[usize::from(side)];
        if n == NOBODY {
            return None;
        }
        let target = self.yard.spot(n);
        let accepted = !target.halted
            && reach(spot.owner, target.owner)
            && self.accepts(target, spot.back[usize::from(side)], item);
        accepted.then_some((side, item))
    }

    fn accepts(&self, spot: &Spot, side: u8, item: u8) -> bool {
        let machine = &spot.machine;
        let turns = (side + 6 - machine.direction) % 6;
        match &machine.state {
            State::Carry(carried) => turns != 0 && carried.item == NONE,
            State::Split { carried, .. } | State::Sort { carried, .. } => {
                (2..=4).contains(&turns) && carried.item == NONE
            }
            State::Cross(lanes) => lanes[usize::from(side % 3)].carried.item == NONE,
            State::Store { filter, counts, .. } => {
                let room = self.economy.prototypes[usize::from(machine.prototype)].room;
                (turns != 0 || *filter == NONE) && total(counts) < u32::from(room)
            }
            State::Craft(craft) => {
                let recipe = craft.recipe(self.economy);
                let gives = |turns| match turns {
                    0 => recipe.is_some_and(|recipe| recipe.out.is_some()),
                    4 => recipe.is_some_and(|recipe| recipe.by.is_some()),
                    _ => false,
                };
                !gives(turns) && craft.placement(self.economy, machine.prototype, item, By::Belt).is_some()
            }
            State::Drive(fuel) => fuel.takes(self.economy, item, By::Belt),
        }
    }

    fn give(&mut self, step: &Move) {
        let tick = self.tick;
        let economy = self.economy;
        let spot = self.yard.spot_mut(step.from);
        let turns = (step.from_side + 6 - spot.machine.direction) % 6;
        let port = match turns {
            1 => 0,
            0 => 1,
            _ => 2,
        };
        let hold = economy.prototypes[usize::from(spot.machine.prototype)].hold;
        match &mut spot.machine.state {
            State::Carry(carried) => *carried = Carried::EMPTY,
            State::Split { carried, turn } => (*carried, *turn) = (Carried::EMPTY, port),
            State::Sort { carried, turn, filter } => {
                // An item that goes ahead takes no turn.
                if carried.item != *filter {
                    *turn = port;
                }
                *carried = Carried::EMPTY;
            }
            State::Cross(lanes) => {
                if let Some(lane) =
                    lanes.iter_mut().find(|lane| lane.carried.item != NONE && lane.out_side == step.from_side)
                {
                    *lane = Lane { carried: Carried::EMPTY, out_side: 0 };
                }
            }
            State::Store { ready, counts, .. } => {
                take_from(counts, step.item, 1);
                *ready = tick + u64::from(hold) + 1;
            }
            State::Craft(craft) if turns == 0 => craft.out -= 1,
            State::Craft(craft) => craft.by -= 1,
            State::Drive(_) => {}
        }
        self.yard.stir(step.from);
    }

    fn receive(&mut self, step: &Move) {
        let economy = self.economy;
        let spot = self.yard.spot_mut(step.to);
        let prototype = spot.machine.prototype;
        let hold = economy.prototypes[usize::from(prototype)].hold;
        let item = step.item;
        let came = Carried { item, ready: self.tick + u64::from(hold) };
        spot.machine.side = step.to_side;
        match &mut spot.machine.state {
            State::Carry(carried) | State::Split { carried, .. } | State::Sort { carried, .. } => {
                *carried = came
            }
            State::Cross(lanes) => {
                lanes[usize::from(step.to_side % 3)] =
                    Lane { carried: came, out_side: (step.to_side + 3) % 6 };
            }
            State::Store { counts, .. } => add_to(counts, item, 1),
            State::Craft(craft) => {
                if let Some(slot) = craft.placement(economy, prototype, item, By::Belt) {
                    craft.place(slot, item);
                }
            }
            State::Drive(fuel) => fuel.put(item),
        }
        self.yard.stir(step.to);
    }
}
