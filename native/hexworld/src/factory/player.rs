//! A player: where they are, what they have, what they are doing and what became of what they did.

use std::collections::VecDeque;

use super::batch::MAX_NAME;
use super::bytes::{Put, Reader};
use super::machine::{count_of, decode_counts, total};
use crate::ruleset::Economy;

/// Outcomes that are remembered of each player.
pub(crate) const REMEMBERED: u64 = 128;

/// What a body does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A step to a cell.
    Move(u32),
    /// Gathering from a cell.
    Gather(u32),
    /// Crafting by hand: recipe and how often.
    Craft(u8, u16),
}

/// An action of the body, waiting or being played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub deed: Deed,
    pub id: Box<[u8]>,
}

/// A deed under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Playing {
    pub body: Body,
    /// The tick that ends it.
    pub ends: u64,
    /// Units that are gathered, or crafts.
    pub n: u16,
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The tick that first shows it.
    pub tick: u64,
    /// Its place among all outcomes of the world.
    pub seq: u64,
    /// 0: applied; else why it was refused ([`super::Code`]).
    pub code: u8,
    /// The client's name of the action.
    pub id: Box<[u8]>,
}

/// A player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Player {
    pub number: u32,
    pub name: Box<str>,
    pub position: u32,
    pub home: u32,
    pub claims: u32,
    /// Outcomes ever.
    pub results: u64,
    pub inventory: Vec<(u8, u16)>,
    pub playing: Option<Playing>,
    pub queue: VecDeque<Body>,
    /// The outcomes that are remembered, by slot.
    pub recent: Vec<Outcome>,
}

impl Player {
    /// A newcomer.
    pub fn new(economy: &Economy, number: u32, name: &str, cell: u32) -> Self {
        Player {
            number,
            name: name.into(),
            position: cell,
            home: cell,
            claims: 0,
            results: 0,
            inventory: economy.start.kit.clone(),
            playing: None,
            queue: VecDeque::new(),
            recent: Vec::new(),
        }
    }

    /// How many of an item they have.
    pub fn has(&self, item: u8) -> u16 {
        count_of(&self.inventory, item)
    }

    /// Room in the inventory, less what the deed under way will bring.
    pub fn free(&self, economy: &Economy) -> u32 {
        let reserved = self.playing.as_ref().map_or(0, |playing| playing.brings(economy));
        u32::from(economy.start.inventory).saturating_sub(total(&self.inventory) + reserved)
    }

    /// Whether an action of this id is known: done, under way or waiting.
    pub fn knows(&self, id: &[u8]) -> bool {
        self.recent.iter().any(|outcome| *outcome.id == *id)
            || self.playing.as_ref().is_some_and(|playing| *playing.body.id == *id)
            || self.queue.iter().any(|body| *body.id == *id)
    }

    /// Writes an outcome down and says in which slot.
    pub fn remember(&mut self, outcome: Outcome) -> u32 {
        let slot = (self.results % REMEMBERED) as usize;
        if slot < self.recent.len() {
            self.recent[slot] = outcome;
        } else {
            self.recent.push(outcome);
        }
        self.results += 1;
        slot as u32
    }

    /// Appends the canonical bytes, without the outcomes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.u32(self.number);
        bytes.short(self.name.as_bytes());
        [self.position, self.home, self.claims].iter().for_each(|&word| bytes.u32(word));
        bytes.u64(self.results);
        bytes.u8(self.inventory.len() as u8);
        for (item, count) in &self.inventory {
            bytes.u8(*item);
            bytes.u16(*count);
        }
        bytes.u8(u8::from(self.playing.is_some()));
        if let Some(playing) = &self.playing {
            playing.body.encode(bytes);
            bytes.u64(playing.ends);
            bytes.u16(playing.n);
        }
        bytes.u8(self.queue.len() as u8);
        self.queue.iter().for_each(|body| body.encode(bytes));
    }

    /// From canonical bytes; `None` unless a player of this economy can be so, on a sphere of `cells` cells.
    pub fn decode(economy: &Economy, cells: u32, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let number = reader.u32()?;
        let name = std::str::from_utf8(reader.short()?).ok()?;
        let [position, home, claims] = [reader.u32()?, reader.u32()?, reader.u32()?];
        let results = reader.u64()?;
        let kinds = reader.u8()?;
        let inventory = decode_counts(economy, kinds, &mut reader)?;
        let playing = match reader.u8()? {
            0 => None,
            1 => {
                let body = Body::decode(economy, cells, &mut reader)?;
                Some(Playing { body, ends: reader.u64()?, n: reader.u16()? })
            }
            _ => return None,
        };
        let queued = reader.u8()?;
        let queue = (0..queued).map(|_| Body::decode(economy, cells, &mut reader)).collect::<Option<_>>()?;
        reader.end()?;
        let sound = position < cells
            && home < cells
            && (1..=MAX_NAME).contains(&name.len())
            && total(&inventory) + playing.as_ref().map_or(0, |playing| playing.brings(economy))
                <= u32::from(economy.start.inventory);
        let (name, recent) = (name.into(), Vec::new());
        sound.then_some(Player {
            number,
            name,
            position,
            home,
            claims,
            results,
            inventory,
            playing,
            queue,
            recent,
        })
    }
}

impl Playing {
    /// Items that the deed will bring at most.
    fn brings(&self, economy: &Economy) -> u32 {
        match self.body.deed {
            Deed::Move(_) => 0,
            Deed::Gather(_) => u32::from(self.n),
            Deed::Craft(recipe, count) => economy.recipes[usize::from(recipe)].makes() * u32::from(count),
        }
    }
}

impl Body {
    fn encode(&self, bytes: &mut Vec<u8>) {
        let (op, argument, count) = match self.deed {
            Deed::Move(cell) => (1, cell, 0),
            Deed::Gather(cell) => (2, cell, 0),
            Deed::Craft(recipe, count) => (11, u32::from(recipe), count),
        };
        bytes.u8(op);
        bytes.u32(argument);
        bytes.u16(count);
        bytes.short(&self.id);
    }

    fn decode(economy: &Economy, cells: u32, reader: &mut Reader) -> Option<Self> {
        let (op, argument, count) = (reader.u8()?, reader.u32()?, reader.u16()?);
        let deed = match op {
            1 if argument < cells => Deed::Move(argument),
            2 if argument < cells => Deed::Gather(argument),
            11 if (argument as usize) < economy.recipes.len() => Deed::Craft(argument as u8, count),
            _ => return None,
        };
        Some(Body { deed, id: reader.short()?.into() })
    }
}

impl Outcome {
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.u64(self.tick);
        bytes.u64(self.seq);
        bytes.u8(self.code);
        bytes.short(&self.id);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let outcome = Outcome {
            tick: reader.u64()?,
            seq: reader.u64()?,
            code: reader.u8()?,
            id: reader.short()?.into(),
        };
        reader.end()?;
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::Ruleset;

    /// A deed is only begun if there is room for what it brings.
    #[test]
    fn a_player_whose_hands_would_overflow_is_none() {
        let ruleset = Ruleset::parse(include_str!("../../../../priv/rulesets/tiny.toml")).unwrap();
        let economy = ruleset.economy.unwrap();
        let mut player = Player::new(&economy, 1, "ann", 0);
        player.inventory = vec![(0, economy.start.inventory - 3)];
        for (n, sound) in [(3, true), (4, false), (u16::MAX, false)] {
            let body = Body { deed: Deed::Gather(0), id: b"g".as_slice().into() };
            player.playing = Some(Playing { body, ends: 9, n });
            let mut bytes = Vec::new();
            player.encode(&mut bytes);
            assert_eq!(Player::decode(&economy, 12, &bytes).is_some(), sound, "{n}");
        }
    }
}
