//! Who owns what: claims, their price, and how near strangers may come.

use std::collections::HashSet;

use super::Factory;
use super::batch::Code;
use super::machine::{add_to, take_from};
use super::yard::Owner;

impl Factory {
    /// Whether a player may use what stands on an owned cell.
    pub(super) fn rights(&self, number: u32, cell: u32) -> Result<Owner, Code> {
        self.owners.get(&cell).copied().filter(|owner| owner.admits(number)).ok_or(Code::NotYours)
    }

    /// Cells that are kept for the world: pentagons, and those beside them.
    pub(super) fn not_reserved(&self, cell: u32) -> Result<(), Code> {
        let pentagon = |cell| self.sphere.neighbours(cell).count() == 5;
        if pentagon(cell) {
            return Err(Code::Pentagon);
        }
        if self.sphere.neighbours(cell).any(pentagon) { Err(Code::Reserved) } else { Ok(()) }
    }

    /// Whether no cell beside is a stranger's who has not granted it.
    pub(super) fn not_touching(&self, number: u32, cell: u32) -> Result<(), Code> {
        let foreign = |cell| self.owners.get(&cell).is_some_and(|owner| !owner.admits(number));
        if self.sphere.neighbours(cell).any(foreign) { Err(Code::TouchesForeign) } else { Ok(()) }
    }

    fn is_mine(&self, number: u32, cell: u32) -> bool {
        self.owners.get(&cell).is_some_and(|owner| owner.owner == number)
    }

    pub(super) fn touches_own(&self, number: u32, cell: u32) -> bool {
        self.sphere.neighbours(cell).any(|beside| self.is_mine(number, beside))
    }

    pub(super) fn claim(&mut self, number: u32, cell: u32) -> Result<(), Code> {
        self.not_reserved(cell)?;
        match self.owners.get(&cell) {
            Some(owner) if owner.owner == number => return Err(Code::AlreadyYours),
            Some(_) => return Err(Code::NotYours),
            None => {}
        }
        self.not_touching(number, cell)?;
        if !self.touches_own(number, cell) {
            self.can_found(number, cell)?;
        }
        let (item, price) = (self.economy.claim.item, self.economy.price(self.player(number).claims));
        if self.player(number).has(item) < price {
            return Err(Code::MissingItems);
        }
        take_from(&mut self.player_mut(number).inventory, item, price);
        self.own(number, cell);
        Ok(())
    }

    /// Makes a cell a player's; it has been paid for.
    pub(super) fn own(&mut self, number: u32, cell: u32) -> Owner {
        let owner = Owner { owner: number, grant: 0 };
        self.owners.insert(cell, owner);
        self.lands.entry(number).or_default().insert(cell);
        self.changed.owners.insert(cell);
        self.wake_near(cell);
        self.player_mut(number).claims += 1;
        owner
    }

    fn can_found(&self, number: u32, cell: u32) -> Result<(), Code> {
        if !self.is_near(number, cell) {
            return Err(Code::TooFar);
        }
        let gap = u32::from(self.economy.claim.gap).saturating_sub(1);
        let foreign = |&cell: &u32| self.owners.get(&cell).is_some_and(|owner| owner.owner != number);
        if self.within(cell, gap).iter().any(foreign) {
            return Err(Code::TooClose);
        }
        if self.estates(number) >= u32::from(self.economy.claim.estates) {
            return Err(Code::TooManyEstates);
        }
        Ok(())
    }

    /// The cells at most `steps` from a cell.
    fn within(&self, cell: u32, steps: u32) -> HashSet<u32> {
        let (mut seen, mut ring) = (HashSet::from([cell]), vec![cell]);
        for _ in 0..steps {
            ring = ring
                .iter()
                .flat_map(|&cell| self.sphere.neighbours(cell))
                .filter(|&cell| seen.insert(cell))
                .collect();
        }
        seen
    }

    /// Connected groups of a player's cells.
    fn estates(&self, number: u32) -> u32 {
        let mut left = self.lands.get(&number).cloned().unwrap_or_default();
        let mut estates = 0;
        while let Some(&first) = left.iter().next() {
            estates += 1;
            left.remove(&first);
            let mut reached = vec![first];
            while let Some(cell) = reached.pop() {
                reached.extend(self.sphere.neighbours(cell).filter(|beside| left.remove(beside)));
            }
        }
        estates
    }

    pub(super) fn release(&mut self, number: u32, cell: u32) -> Result<(), Code> {
        if !self.is_mine(number, cell) {
            return Err(Code::NotYours);
        }
        if self.yard.at(cell).is_some() {
            return Err(Code::Occupied);
        }
        let refund = self.economy.price(self.player(number).claims.saturating_sub(1));
        if self.player(number).free(&self.economy) < u32::from(refund) {
            return Err(Code::InventoryFull);
        }
        self.owners.remove(&cell);
        if let Some(land) = self.lands.get_mut(&number) {
            land.remove(&cell);
        }
        self.changed.owners.insert(cell);
        self.wake_near(cell);
        let item = self.economy.claim.item;
        let player = self.player_mut(number);
        player.claims -= 1;
        add_to(&mut player.inventory, item, refund);
        Ok(())
    }

    pub(super) fn grant(&mut self, number: u32, cell: u32, to: Option<&str>) -> Result<(), Code> {
        if !self.is_mine(number, cell) {
            return Err(Code::NotYours);
        }
        let grant = match to {
            None => 0,
            Some(name) => *self.names.get(name).ok_or(Code::UnknownPlayer)?,
        };
        let owner = Owner { owner: number, grant };
        self.owners.insert(cell, owner);
        self.changed.owners.insert(cell);
        if let Some(n) = self.yard.at(cell) {
            self.yard.spot_mut(n).owner = owner;
        }
        self.wake_near(cell);
        Ok(())
    }
}
