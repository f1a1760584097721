//! What bodies do: steps, gathering and crafting by hand. It takes time, and one deed is played after another.

use super::batch::Code;
use super::machine::{add_to, take_from, total};
use super::player::{Body, Deed, Playing};
use super::{Factory, Field};

impl Factory {
    /// Ends the deeds that are due in `tick`, and plays what waits behind them.
    pub(super) fn end_deeds(&mut self, tick: u64, field: &mut Field) {
        while let Some(&(ends, number)) = self.playing.first() {
            if ends > tick {
                break;
            }
            self.playing.pop_first();
            let Some(playing) = self.player_mut(number).playing.take() else { continue };
            let code = self.end(number, &playing, field);
            self.outcome(tick, number, code, &playing.body.id);
            self.play(tick, number, field);
        }
    }

    fn end(&mut self, number: u32, playing: &Playing, field: &mut Field) -> Code {
        match playing.body.deed {
            Deed::Move(cell) => self.player_mut(number).position = cell,
            Deed::Gather(cell) => {
                let Ok((item, available)) = self.gatherable(cell, field) else { return Code::Empty };
                if !self.may_use(number, cell) {
                    return Code::NotYours;
                }
                let n = playing.n.min(available);
                if n == 0 {
                    return Code::Empty;
                }
                let (kind, _) = field.cell(cell);
                if self.economy.harvest_of(kind).is_some_and(|harvest| !harvest.free) {
                    field.harvest(cell, n);
                }
                add_to(&mut self.player_mut(number).inventory, item, n);
            }
            Deed::Craft(recipe, count) => {
                let recipe = &self.economy.recipes[usize::from(recipe)];
                let made = [recipe.out, recipe.by];
                let player = self.player_mut(number);
                for (item, n) in made.into_iter().flatten() {
                    add_to(&mut player.inventory, item, n * count);
                }
            }
        }
        Code::Applied
    }

    /// Takes a deed in; it begins at once if nothing else is played.
    pub(super) fn enqueue(&mut self, tick: u64, field: &mut Field, number: u32, deed: Deed, id: &[u8]) {
        let player = self.player(number);
        let unfinished = player.queue.len() + usize::from(player.playing.is_some());
        if unfinished >= usize::from(self.economy.start.queue) {
            return self.outcome(tick, number, Code::QueueFull, id);
        }
        self.player_mut(number).queue.push_back(Body { deed, id: id.into() });
        self.play(tick, number, field);
    }

    /// Begins the first deed that can be begun; those before it are refused.
    fn play(&mut self, tick: u64, number: u32, field: &mut Field) {
        while self.player(number).playing.is_none() {
            let Some(body) = self.player_mut(number).queue.pop_front() else { return };
            match self.begin(tick, number, body.deed, field) {
                Ok((ends, n)) => {
                    self.player_mut(number).playing = Some(Playing { body, ends, n });
                    self.playing.insert((ends, number));
                }
                Err(code) => self.outcome(tick, number, code, &body.id),
            }
        }
    }

    /// When a deed ends, and how many units it is about.
    fn begin(&mut self, tick: u64, number: u32, deed: Deed, field: &Field) -> Result<(u64, u16), Code> {
        let start = &self.economy.start;
        match deed {
            Deed::Move(cell) => {
                let position = self.player(number).position;
                if !self.sphere.neighbours(position).any(|beside| beside == cell) {
                    return Err(Code::NotAdjacent);
                }
                Ok((tick + u64::from(start.step), 0))
            }
            Deed::Gather(cell) => {
                if !self.is_near(number, cell) {
                    return Err(Code::TooFar);
                }
                if !self.may_use(number, cell) {
                    return Err(Code::NotYours);
                }
                let (_, available) = self.gatherable(cell, field)?;
                let (kind, _) = field.cell(cell);
                let hand = self.economy.harvest_of(kind).map_or(0, |harvest| harvest.hand);
                let n = available.min(start.gather);
                if n == 0 {
                    return Err(Code::Empty);
                }
                let n = u32::from(n).min(self.player(number).free(&self.economy)) as u16;
                if n == 0 {
                    return Err(Code::InventoryFull);
                }
                Ok((tick + u64::from(n) * u64::from(hand), n))
            }
            Deed::Craft(recipe, count) => self.begin_craft(tick, number, recipe, count),
        }
    }

    fn begin_craft(&mut self, tick: u64, number: u32, recipe: u8, count: u16) -> Result<(u64, u16), Code> {
        let economy = &self.economy;
        let recipe = &economy.recipes[usize::from(recipe)];
        if !recipe.hand {
            return Err(Code::NotByHand);
        }
        let (player, times) = (self.player(number), u32::from(count));
        if recipe.inputs.iter().any(|&(item, n)| u32::from(player.has(item)) < u32::from(n) * times) {
            return Err(Code::MissingItems);
        }
        let used: u32 = total(&recipe.inputs) * times;
        let then = total(&player.inventory) - used + recipe.makes() * times;
        if then > u32::from(economy.start.inventory) {
            return Err(Code::InventoryFull);
        }
        let inputs = recipe.inputs.clone();
        let ends = tick + u64::from(count) * u64::from(economy.start.craft);
        let player = self.player_mut(number);
        for (item, n) in inputs {
            take_from(&mut player.inventory, item, n * count);
        }
        Ok((ends, count))
    }

    /// What a hand gets from a cell, and how many units there are of it.
    fn gatherable(&self, cell: u32, field: &Field) -> Result<(u8, u16), Code> {
        let (kind, amount) = field.cell(cell);
        let harvest =
            self.economy.harvest_of(kind).filter(|harvest| harvest.hand > 0).ok_or(Code::NotHarvestable)?;
        let available = if harvest.free { self.economy.start.gather } else { amount.saturating_sub(1) };
        Ok((harvest.item, available))
    }

    /// Whether a cell is where a player stands, or beside it.
    pub(super) fn is_near(&self, number: u32, cell: u32) -> bool {
        let position = self.player(number).position;
        position == cell || self.sphere.neighbours(position).any(|beside| beside == cell)
    }

    /// Whether a cell is nobody's, or a player may use it.
    fn may_use(&self, number: u32, cell: u32) -> bool {
        self.owners.get(&cell).is_none_or(|owner| owner.admits(number))
    }
}
