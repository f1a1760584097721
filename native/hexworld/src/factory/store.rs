//! Objects as they are kept: a key and canonical bytes for each, in the world's cards.

use shm::Corrupt;
use shm::cards::{Card, Cards, Full};
use thiserror::Error;

use super::bytes::{Put, Reader};
use super::machine::Machine;
use super::player::{Outcome, Player, REMEMBERED};
use super::yard::Owner;
use super::{Changed, Factory};
use crate::ruleset::Economy;
use crate::topology::Sphere;

const TYPE: u32 = 56;
const MACHINE: u64 = 1;
const OWNER: u64 = 2;
const PLAYER: u64 = 3;
const OUTCOME: u64 = 4;
const WORLD: u64 = 5;

/// Cards that are foreseen for an action: those of a player who joins, or of a machine with its owner and an outcome.
pub(crate) const CARDS_OF_ACTION: u64 = 16;

/// Why objects were not written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum StoreError {
    #[error("no card is free")]
    Full,
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

impl From<Full> for StoreError {
    fn from(_: Full) -> Self {
        StoreError::Full
    }
}

pub(crate) fn machine_key(cell: u32) -> u64 {
    MACHINE << TYPE | u64::from(cell)
}

pub(crate) fn owner_key(cell: u32) -> u64 {
    OWNER << TYPE | u64::from(cell)
}

pub(crate) fn player_key(number: u32) -> u64 {
    PLAYER << TYPE | u64::from(number)
}

pub(crate) fn outcome_key(number: u32, slot: u32) -> u64 {
    OUTCOME << TYPE | u64::from(number) << 8 | u64::from(slot)
}

pub(crate) const WORLD_KEY: u64 = WORLD << TYPE;

impl Owner {
    pub(super) fn encode(self, bytes: &mut Vec<u8>) {
        bytes.u32(self.owner);
        bytes.u32(self.grant);
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let owner = Owner { owner: reader.u32()?, grant: reader.u32()? };
        reader.end()?;
        (owner.owner != 0).then_some(owner)
    }
}

fn corrupt(what: &'static str, key: u64) -> Corrupt {
    Corrupt { what, found: key }
}

impl Factory {
    /// Writes what `tick` has changed; it is valid once `tick + 1` is published.
    pub fn commit(&mut self, cards: &Cards, tick: u64) -> Result<(), StoreError> {
        let Changed { removed, owners, players, outcomes } = std::mem::take(&mut self.changed);
        for cell in removed {
            cards.delete(machine_key(cell), tick);
        }
        let mut bytes = Vec::new();
        for n in self.yard.take_dirty() {
            let spot = self.yard.spot_mut(n);
            bytes.clear();
            spot.machine.encode(&mut bytes);
            let card = match spot.card {
                Some(card) => card,
                None => cards.find_or_take(machine_key(spot.cell), tick)?,
            };
            spot.card = Some(card);
            cards.write(card, tick, &bytes)?;
        }
        for cell in owners {
            bytes.clear();
            match self.owners.get(&cell) {
                Some(owner) => {
                    owner.encode(&mut bytes);
                    cards.put(owner_key(cell), tick, &bytes)?;
                }
                None => cards.delete(owner_key(cell), tick),
            }
        }
        for (number, slot) in &outcomes {
            bytes.clear();
            self.player(*number).recent[*slot as usize].encode(&mut bytes);
            cards.put(outcome_key(*number, *slot), tick, &bytes)?;
        }
        for &number in &players {
            bytes.clear();
            self.player(number).encode(&mut bytes);
            cards.put(player_key(number), tick, &bytes)?;
        }
        if !players.is_empty() {
            bytes.clear();
            self.encode_counters(&mut bytes);
            cards.put(WORLD_KEY, tick, &bytes)?;
        }
        Ok(())
    }

    pub(super) fn encode_counters(&self, bytes: &mut Vec<u8>) {
        bytes.u32(self.players.len() as u32);
        bytes.u64(self.seq);
    }

    /// The objects as they were published at `tick`, while nobody writes.
    pub fn load(economy: &Economy, sphere: Sphere, cards: &Cards, tick: u64) -> Result<Self, Corrupt> {
        let mut loaded = Loaded::new(economy, sphere);
        let mut taken = Ok(());
        cards.load(tick, |key, card, bytes| {
            if taken.is_ok() {
                taken = loaded.take(key, Some(card), bytes);
            }
        })?;
        taken?;
        loaded.finish()
    }

    /// The same of objects that lie in no cards: whether they can be a world's.
    pub fn check<'a>(
        economy: &Economy,
        sphere: Sphere,
        objects: impl Iterator<Item = (u64, &'a [u8])>,
    ) -> Result<(), Corrupt> {
        let mut loaded = Loaded::new(economy, sphere);
        for (key, bytes) in objects {
            loaded.take(key, None, bytes)?;
        }
        loaded.finish().map(drop)
    }
}

/// Objects that come in any order.
struct Loaded<'a> {
    economy: &'a Economy,
    sphere: Sphere,
    machines: Vec<(u32, Machine, Option<Card>)>,
    players: Vec<Player>,
    outcomes: Vec<(u32, u32, Outcome)>,
    counters: Option<(u32, u64)>,
    factory: Factory,
}

impl<'a> Loaded<'a> {
    fn new(economy: &'a Economy, sphere: Sphere) -> Self {
        let factory = Factory::new(economy.clone(), sphere);
        let (machines, players, outcomes, counters) = (Vec::new(), Vec::new(), Vec::new(), None);
        Loaded { economy, sphere, machines, players, outcomes, counters, factory }
    }

    fn take(&mut self, key: u64, card: Option<Card>, bytes: &[u8]) -> Result<(), Corrupt> {
        let id = key & ((1 << 48) - 1);
        let cell = u32::try_from(id).ok().filter(|&cell| cell < self.sphere.cells());
        let six_sided = |&cell: &u32| self.sphere.neighbours(cell).count() == 6;
        match key >> TYPE {
            MACHINE => {
                let machine = Machine::decode(self.economy, bytes);
                let (Some(cell), Some(machine)) = (cell.filter(six_sided), machine) else {
                    return Err(corrupt("machine", key));
                };
                self.machines.push((cell, machine, card));
            }
            OWNER => {
                let (Some(cell), Some(owner)) = (cell, Owner::decode(bytes)) else {
                    return Err(corrupt("owner", key));
                };
                self.factory.owners.insert(cell, owner);
                self.factory.lands.entry(owner.owner).or_default().insert(cell);
            }
            PLAYER => {
                let player = Player::decode(self.economy, self.sphere.cells(), bytes);
                let player = player.filter(|player| u64::from(player.number) == id);
                self.players.push(player.ok_or(corrupt("player", key))?);
            }
            OUTCOME => {
                let (number, slot) = ((id >> 8) as u32, (id & 0xff) as u32);
                let outcome = Outcome::decode(bytes).ok_or(corrupt("outcome", key))?;
                self.outcomes.push((number, slot, outcome));
            }
            WORLD => {
                let mut reader = Reader(bytes);
                self.counters = reader.u32().zip(reader.u64());
                self.counters.zip(reader.end()).ok_or(corrupt("counters", key))?;
            }
            _ => return Err(corrupt("kind of object", key)),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Factory, Corrupt> {
        let factory = &mut self.factory;
        let (count, seq) = self.counters.unwrap_or_default();
        self.players.sort_unstable_by_key(|player| player.number);
        let numbered = self.players.iter().zip(1u32..).all(|(player, n)| player.number == n);
        if count as usize != self.players.len() || !numbered {
            return Err(corrupt("players", u64::from(count)));
        }
        factory.seq = seq;
        for player in self.players {
            if let Some(playing) = &player.playing {
                factory.playing.insert((playing.ends, player.number));
            }
            factory.names.insert(player.name.clone(), player.number);
            factory.players.push(player);
        }
        self.outcomes.sort_unstable_by_key(|&(number, slot, _)| (number, slot));
        for (number, slot, outcome) in self.outcomes {
            let player = (number as usize).checked_sub(1).and_then(|n| factory.players.get_mut(n));
            let player = player.ok_or(corrupt("outcome of player", u64::from(number)))?;
            if player.recent.len() != slot as usize {
                return Err(corrupt("outcome in slot", u64::from(slot)));
            }
            player.recent.push(outcome);
        }
        for player in &factory.players {
            if player.recent.len() as u64 != player.results.min(REMEMBERED) {
                return Err(corrupt("outcomes", player.results));
            }
        }
        for player in &factory.players {
            let land = factory.lands.get(&player.number).map_or(0, |land| land.len());
            if player.claims as usize != land {
                return Err(corrupt("claims", u64::from(player.claims)));
            }
        }
        let known = factory.players.len() as u32;
        if let Some(owner) = factory.owners.values().find(|owner| owner.owner > known || owner.grant > known)
        {
            return Err(corrupt("owner", u64::from(owner.owner)));
        }
        for (cell, machine, card) in self.machines {
            let owner = factory.owners.get(&cell).copied();
            let owner = owner.ok_or(corrupt("machine without an owner on", u64::from(cell)))?;
            let n = factory.set_up(cell, machine, owner);
            factory.yard.spot_mut(n).card = card;
        }
        // What was loaded is kept already.
        factory.yard.take_dirty();
        factory.changed = Changed::default();
        Ok(self.factory)
    }
}
