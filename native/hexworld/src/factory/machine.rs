//! A machine: what it holds and how far it is, and its canonical bytes.
//!
//! | `does` | bytes after prototype, direction and the side granted last |
//! |---|---|
//! | carry | item, ready (u64) |
//! | split | item, ready (u64), the port used last |
//! | sort | item, ready (u64), the port used last, filter |
//! | cross | three lanes: item, the side it leaves by, ready (u64) |
//! | store | filter, ready (u64), number of items, then item and count (u16) of each |
//! | craft | recipe, progress (u16), fuel, pieces, burn (u16), four inputs (u16), product, by-product (u16), made, spilt, lit (u32) |
//! | drive | fuel, pieces, burn (u16), lit (u32) |
//!
//! An item, a filter, a fuel or a recipe that is not there is 255; an idle craft has progress 65,535.

use super::bytes::{Put, Reader};
use crate::ruleset::{Does, Economy, Recipe};

/// No item, no recipe, no filter.
pub(crate) const NONE: u8 = 0xff;
/// The progress of a craft that has not begun.
pub(crate) const IDLE: u16 = 0xffff;
/// No machine in the list of machines.
pub(crate) const NOBODY: u32 = u32::MAX;
/// Pieces of fuel that belts fill up to, and hands.
pub(crate) const FUEL_BY_BELT: u8 = 4;
pub(crate) const FUEL_BY_HAND: u8 = 20;
/// Crafts' worth of ingredients that belts fill up to, hands, and of products that are kept.
pub(crate) const BY_BELT: u16 = 2;
pub(crate) const BY_HAND: u16 = 20;
pub(crate) const KEPT: u16 = 10;

/// An item on its way, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carried {
    pub item: u8,
    /// The tick from which on it may go.
    pub ready: u64,
}

impl Carried {
    pub const EMPTY: Carried = Carried { item: NONE, ready: 0 };
}

/// A lane of a crossing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub carried: Carried,
    pub out_side: u8,
}

/// What burns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fuel {
    pub item: u8,
    pub pieces: u8,
    /// Ticks that the lit piece still burns.
    pub burn: u16,
    /// Pieces ever lit.
    pub lit: u32,
}

impl Fuel {
    pub const EMPTY: Fuel = Fuel { item: NONE, pieces: 0, burn: 0, lit: 0 };

    /// Lights a piece, if there is one.
    pub fn light(&mut self, economy: &Economy) -> bool {
        if self.pieces == 0 {
            return false;
        }
        self.burn = economy.items[usize::from(self.item)].burns;
        self.lit = self.lit.wrapping_add(1);
        self.take(1);
        true
    }

    pub fn take(&mut self, pieces: u8) {
        self.pieces -= pieces;
        if self.pieces == 0 {
            self.item = NONE;
        }
    }

    fn is_sound(&self) -> bool {
        (self.item == NONE) == (self.pieces == 0) && self.pieces <= FUEL_BY_HAND
    }

    fn room(&self, item: u8, limit: u8) -> bool {
        self.pieces == 0 || self.item == item && self.pieces < limit
    }

    fn add(&mut self, item: u8) {
        self.item = item;
        self.pieces += 1;
    }
}

/// A machine that runs recipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Craft {
    pub recipe: u8,
    pub progress: u16,
    pub fuel: Fuel,
    pub inputs: [u16; 4],
    pub out: u16,
    pub by: u16,
    pub made: u32,
    pub spilt: u32,
}

/// What a machine is, by what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Carry(Carried),
    Split { carried: Carried, turn: u8 },
    Sort { carried: Carried, turn: u8, filter: u8 },
    Cross(Box<[Lane; 3]>),
    Store { filter: u8, ready: u64, counts: Vec<(u8, u16)> },
    Craft(Craft),
    Drive(Fuel),
}

/// Where a piece goes that a machine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Fuel,
    Input(usize),
}

/// How much a machine takes: from belts or from hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Belt,
    Hand,
}

/// A machine on a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub prototype: u8,
    pub direction: u8,
    /// The side granted last.
    pub side: u8,
    pub state: State,
}

impl Machine {
    /// A fresh machine.
    pub fn new(economy: &Economy, prototype: u8, direction: u8, recipe: u8) -> Self {
        let empty = Carried::EMPTY;
        let state = match economy.prototypes[usize::from(prototype)].does {
            Does::Carry => State::Carry(empty),
            Does::Split => State::Split { carried: empty, turn: 2 },
            Does::Sort => State::Sort { carried: empty, turn: 2, filter: NONE },
            Does::Cross => State::Cross(Box::new([Lane { carried: empty, out_side: 0 }; 3])),
            Does::Store => State::Store { filter: NONE, ready: 0, counts: Vec::new() },
            Does::Craft => State::Craft(Craft {
                recipe,
                progress: IDLE,
                fuel: Fuel::EMPTY,
                inputs: [0; 4],
                out: 0,
                by: 0,
                made: 0,
                spilt: 0,
            }),
            Does::Drive => State::Drive(Fuel::EMPTY),
        };
        Machine { prototype, direction, side: 5, state }
    }

    /// The side `turn` left turns from the front.
    pub fn side_at(&self, turns: u8) -> u8 {
        (self.direction + turns) % 6
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put(&[self.prototype, self.direction, self.side]);
        let carried = |bytes: &mut Vec<u8>, carried: &Carried| {
            bytes.u8(carried.item);
            bytes.u64(carried.ready);
        };
        match &self.state {
            State::Carry(slot) => carried(bytes, slot),
            State::Split { carried: slot, turn } => {
                carried(bytes, slot);
                bytes.u8(*turn);
            }
            State::Sort { carried: slot, turn, filter } => {
                carried(bytes, slot);
                bytes.put(&[*turn, *filter]);
            }
            State::Cross(lanes) => {
                for lane in lanes.iter() {
                    bytes.put(&[lane.carried.item, lane.out_side]);
                    bytes.u64(lane.carried.ready);
                }
            }
            State::Store { filter, ready, counts } => {
                bytes.u8(*filter);
                bytes.u64(*ready);
                bytes.u8(counts.len() as u8);
                for (item, count) in counts {
                    bytes.u8(*item);
                    bytes.u16(*count);
                }
            }
            State::Craft(craft) => {
                bytes.u8(craft.recipe);
                bytes.u16(craft.progress);
                bytes.put(&[craft.fuel.item, craft.fuel.pieces]);
                bytes.u16(craft.fuel.burn);
                craft.inputs.iter().for_each(|&count| bytes.u16(count));
                bytes.u16(craft.out);
                bytes.u16(craft.by);
                [craft.made, craft.spilt, craft.fuel.lit].iter().for_each(|&count| bytes.u32(count));
            }
            State::Drive(fuel) => {
                bytes.put(&[fuel.item, fuel.pieces]);
                bytes.u16(fuel.burn);
                bytes.u32(fuel.lit);
            }
        }
    }

    /// From canonical bytes; `None` unless a machine of this economy can be so.
    pub fn decode(economy: &Economy, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [prototype, direction, side] = [reader.u8()?, reader.u8()?, reader.u8()?];
        let known = economy.prototypes.get(usize::from(prototype))?;
        let state = decode_state(economy, known.does, prototype, &mut reader)?;
        reader.end()?;
        (direction < 6 && side < 6).then_some(Machine { prototype, direction, side, state })
    }
}

fn item(economy: &Economy, item: u8) -> Option<u8> {
    (item == NONE || usize::from(item) < economy.items.len()).then_some(item)
}

fn decode_carried(economy: &Economy, reader: &mut Reader) -> Option<Carried> {
    Some(Carried { item: item(economy, reader.u8()?)?, ready: reader.u64()? })
}

fn decode_state(economy: &Economy, does: Does, prototype: u8, reader: &mut Reader) -> Option<State> {
    let turn = |turn: u8| (turn < 3).then_some(turn);
    Some(match does {
        Does::Carry => State::Carry(decode_carried(economy, reader)?),
        Does::Split => State::Split { carried: decode_carried(economy, reader)?, turn: turn(reader.u8()?)? },
        Does::Sort => State::Sort {
            carried: decode_carried(economy, reader)?,
            turn: turn(reader.u8()?)?,
            filter: item(economy, reader.u8()?)?,
        },
        Does::Cross => {
            let mut lane = || {
                let (item, out_side) = (item(economy, reader.u8()?)?, reader.u8()?);
                let carried = Carried { item, ready: reader.u64()? };
                (out_side < 6).then_some(Lane { carried, out_side })
            };
            State::Cross(Box::new([lane()?, lane()?, lane()?]))
        }
        Does::Store => {
            let (filter, ready, n) = (item(economy, reader.u8()?)?, reader.u64()?, reader.u8()?);
            let counts = decode_counts(economy, n, reader)?;
            let room = u32::from(economy.prototypes[usize::from(prototype)].room);
            (total(&counts) <= room).then_some(State::Store { filter, ready, counts })?
        }
        Does::Craft => {
            let recipe = reader.u8()?;
            let progress = reader.u16()?;
            let (item, pieces, burn) = (item(economy, reader.u8()?)?, reader.u8()?, reader.u16()?);
            let mut inputs = [0; 4];
            for input in &mut inputs {
                *input = reader.u16()?;
            }
            let (out, by) = (reader.u16()?, reader.u16()?);
            let [made, spilt, lit] = [reader.u32()?, reader.u32()?, reader.u32()?];
            let fuel = Fuel { item, pieces, burn, lit };
            let craft = Craft { recipe, progress, fuel, inputs, out, by, made, spilt };
            (fuel.is_sound() && craft.is_sound(economy, prototype)).then_some(State::Craft(craft))?
        }
        Does::Drive => {
            let (item, pieces) = (item(economy, reader.u8()?)?, reader.u8()?);
            let fuel = Fuel { item, pieces, burn: reader.u16()?, lit: reader.u32()? };
            fuel.is_sound().then_some(State::Drive(fuel))?
        }
    })
}

/// `n` items with their counts, ascending.
pub(super) fn decode_counts(economy: &Economy, n: u8, reader: &mut Reader) -> Option<Vec<(u8, u16)>> {
    let mut counts: Vec<(u8, u16)> = Vec::with_capacity(usize::from(n));
    for _ in 0..n {
        let (item, count) = (reader.u8()?, reader.u16()?);
        let ascending = counts.last().is_none_or(|&(last, _)| last < item);
        (ascending && count > 0 && usize::from(item) < economy.items.len()).then_some(())?;
        counts.push((item, count));
    }
    Some(counts)
}

/// How many of `item`.
pub(super) fn count_of(counts: &[(u8, u16)], item: u8) -> u16 {
    counts.binary_search_by_key(&item, |&(item, _)| item).map_or(0, |n| counts[n].1)
}

/// Adds to a list that ascends; the sum must fit.
pub(super) fn add_to(counts: &mut Vec<(u8, u16)>, item: u8, count: u16) {
    if count == 0 {
        return;
    }
    match counts.binary_search_by_key(&item, |&(item, _)| item) {
        Ok(n) => counts[n].1 += count,
        Err(n) => counts.insert(n, (item, count)),
    }
}

/// Takes from a list that holds as many.
pub(super) fn take_from(counts: &mut Vec<(u8, u16)>, item: u8, count: u16) {
    if count == 0 {
        return;
    }
    if let Ok(n) = counts.binary_search_by_key(&item, |&(item, _)| item) {
        counts[n].1 -= count;
        if counts[n].1 == 0 {
            counts.remove(n);
        }
    }
}

/// All there is.
pub(super) fn total(counts: &[(u8, u16)]) -> u32 {
    counts.iter().map(|&(_, count)| u32::from(count)).sum()
}

impl Craft {
    /// Its recipe, if it has one.
    pub fn recipe<'a>(&self, economy: &'a Economy) -> Option<&'a Recipe> {
        economy.recipes.get(usize::from(self.recipe))
    }

    /// Whether no slot holds more than ever gets there.
    fn is_sound(&self, economy: &Economy, prototype: u8) -> bool {
        let Some(recipe) = self.recipe(economy) else {
            return self.recipe == NONE
                && self.progress == IDLE
                && self.inputs == [0; 4]
                && (self.out, self.by) == (0, 0);
        };
        let kept = |made: Option<(u8, u16)>| made.map_or(0, |(_, n)| KEPT * n);
        let buffer = economy.prototypes[usize::from(prototype)].buffer;
        let limit = |n: usize| recipe.inputs.get(n).map_or(0, |&(_, need)| (BY_HAND * need).max(buffer));
        recipe.at == prototype
            && (self.progress == IDLE || self.progress <= recipe.time)
            && self.out <= kept(recipe.out)
            && self.by <= kept(recipe.by)
            && self.inputs.iter().enumerate().all(|(n, &have)| have <= limit(n))
    }

    /// Begun and not yet done.
    pub fn is_working(&self, economy: &Economy) -> bool {
        self.recipe(economy).is_some_and(|recipe| self.progress < recipe.time)
    }

    /// Where the next piece of `item` goes.
    pub fn placement(&self, economy: &Economy, prototype: u8, item: u8, by: By) -> Option<Slot> {
        let known = &economy.prototypes[usize::from(prototype)];
        let fuel = known.burns && economy.items[usize::from(item)].burns > 0;
        if fuel && self.fuel.pieces == 0 {
            return Some(Slot::Fuel);
        }
        let (crafts, pieces) = match by {
            By::Belt => (BY_BELT, FUEL_BY_BELT),
            By::Hand => (BY_HAND, FUEL_BY_HAND),
        };
        let inputs = self.recipe(economy).map_or(&[][..], |recipe| &recipe.inputs);
        let input = inputs
            .iter()
            .zip(self.inputs)
            .position(|(&(wanted, need), have)| wanted == item && have < (crafts * need).max(known.buffer));
        input.map(Slot::Input).or_else(|| (fuel && self.fuel.room(item, pieces)).then_some(Slot::Fuel))
    }

    /// Whether it ever takes `item` by hand.
    pub fn wants(&self, economy: &Economy, prototype: u8, item: u8) -> bool {
        let fuel =
            economy.prototypes[usize::from(prototype)].burns && economy.items[usize::from(item)].burns > 0;
        fuel || self.recipe(economy).is_some_and(|recipe| recipe.inputs.iter().any(|&(i, _)| i == item))
    }

    pub fn place(&mut self, slot: Slot, item: u8) {
        match slot {
            Slot::Fuel => self.fuel.add(item),
            Slot::Input(n) => self.inputs[n] += 1,
        }
    }

    /// All inputs of one craft, and room for what it makes.
    pub fn can_start(&self, recipe: &Recipe) -> bool {
        recipe.inputs.iter().zip(self.inputs).all(|(&(_, need), have)| have >= need)
            && recipe.out.is_none_or(|(_, n)| self.out + n <= KEPT * n)
    }
}

impl Fuel {
    /// Whether a dynamo takes one more piece of `item`.
    pub fn takes(&self, economy: &Economy, item: u8, by: By) -> bool {
        let limit = if by == By::Belt { FUEL_BY_BELT } else { FUEL_BY_HAND };
        economy.items[usize::from(item)].burns > 0 && self.room(item, limit)
    }

    pub fn put(&mut self, item: u8) {
        self.add(item);
    }
}
