//! Objects read while the world ticks, in this process or in another, and the part of the digest that they are.

use shm::Corrupt;

use super::Factory;
use super::bytes::Put;
use super::machine::Machine;
use super::player::{Outcome, Player, REMEMBERED};
use super::store::{machine_key, outcome_key, owner_key, player_key};
use super::yard::Owner;
use crate::error::ReadError;
use crate::world::World;

/// How often a read takes the published tick anew.
const READ_TRIES: usize = 64;

/// A cell with all that is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteView {
    /// Kind of the field.
    pub kind: u8,
    /// Its amount.
    pub amount: u16,
    /// The canonical bytes of the machine, if there is one.
    pub machine: Option<Vec<u8>>,
    /// Number of the player who owns the cell; 0: nobody.
    pub owner: u32,
    /// Number of the player who may use it too; 0: nobody.
    pub grant: u32,
}

/// An outcome, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerOutcome {
    /// The player's number.
    pub player: u32,
    /// What became of the action.
    pub outcome: Outcome,
}

impl World {
    /// Runs `read` at one published tick, again if ticks overtake it. What is broken at the tick that is still the
    /// published one stays so.
    fn at_published<T>(&self, read: impl Fn(u64) -> Result<T, ReadError>) -> Result<(u64, T), ReadError> {
        let mut fault = ReadError::Busy;
        for _ in 0..READ_TRIES {
            let tick = self.tick()?;
            match read(tick) {
                Ok(found) => return Ok((tick, found)),
                Err(error @ ReadError::Corrupt(_)) if self.tick() == Ok(tick) => return Err(error),
                Err(error) => fault = error,
            }
            std::thread::yield_now();
        }
        Err(fault)
    }

    fn object(&self, key: u64, tick: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(cards) = &self.cards else { return Ok(None) };
        let mut bytes = Vec::new();
        Ok(cards.get(key, tick, &mut bytes)?.then_some(bytes))
    }

    /// Cells with what is on them, all at one published tick, which comes first. Never waits for a tick.
    pub fn sites(&self, ids: &[u32]) -> Result<(u64, Vec<SiteView>), ReadError> {
        let Some(economy) = &self.options().ruleset.economy else {
            let (tick, cells) = self.cells(ids)?;
            let bare = |(kind, amount)| SiteView { kind, amount, machine: None, owner: 0, grant: 0 };
            return Ok((tick, cells.into_iter().map(bare).collect()));
        };
        if let Some(&id) = ids.iter().find(|&&id| id >= self.sphere().cells()) {
            return Err(ReadError::NoSuchCell(id));
        }
        self.at_published(|tick| {
            let site = |&id: &u32| {
                let (kind, amount) = self.cell_at(id, tick)?;
                let machine = self.object(machine_key(id), tick)?;
                let sound = machine.as_deref().is_none_or(|bytes| Machine::decode(economy, bytes).is_some());
                let owner = match self.object(owner_key(id), tick)? {
                    None => Some(Owner { owner: 0, grant: 0 }),
                    Some(bytes) => Owner::decode(&bytes),
                };
                match owner.filter(|_| sound) {
                    Some(Owner { owner, grant }) => Ok(SiteView { kind, amount, machine, owner, grant }),
                    None => Err(Corrupt { what: "object on cell", found: u64::from(id) }.into()),
                }
            };
            ids.iter().map(site).collect()
        })
    }

    /// The canonical bytes of all players by number, and the tick they are of. Never waits for a tick.
    pub fn players(&self) -> Result<(u64, Vec<Vec<u8>>), ReadError> {
        self.at_published(|tick| Ok(self.players_at(tick)?.into_iter().map(|(bytes, _)| bytes).collect()))
    }

    fn players_at(&self, tick: u64) -> Result<Vec<(Vec<u8>, Player)>, ReadError> {
        let Some(economy) = &self.options().ruleset.economy else { return Ok(Vec::new()) };
        let mut players = Vec::new();
        loop {
            let number = players.len() as u32 + 1;
            let Some(bytes) = self.object(player_key(number), tick)? else { return Ok(players) };
            match Player::decode(economy, self.sphere().cells(), &bytes) {
                Some(player) if player.number == number => players.push((bytes, player)),
                _ => return Err(Corrupt { what: "player", found: u64::from(number) }.into()),
            }
        }
    }

    /// The outcomes that states after tick `since` show, as far as they are remembered, in order.
    pub fn outcomes(&self, since: u64) -> Result<Vec<PlayerOutcome>, ReadError> {
        let (_, mut outcomes) = self.at_published(|tick| {
            let mut found = Vec::new();
            for (_, player) in self.players_at(tick)? {
                for n in (player.results.saturating_sub(REMEMBERED)..player.results).rev() {
                    let key = outcome_key(player.number, (n % REMEMBERED) as u32);
                    let outcome = self.object(key, tick)?.and_then(|bytes| Outcome::decode(&bytes));
                    let outcome = outcome.ok_or(Corrupt { what: "outcome", found: key })?;
                    if outcome.tick <= since {
                        break;
                    }
                    found.push(PlayerOutcome { player: player.number, outcome });
                }
            }
            Ok(found)
        })?;
        outcomes.sort_unstable_by_key(|found| found.outcome.seq);
        Ok(outcomes)
    }
}

impl Factory {
    /// Cells that something belongs to, ascending: for the digests of chunks.
    pub fn occupied(&self) -> (Vec<u32>, Vec<u32>) {
        let mut machines: Vec<u32> = self.yard.cells().collect();
        let mut owned: Vec<u32> = self.owners.keys().copied().collect();
        machines.sort_unstable();
        owned.sort_unstable();
        (machines, owned)
    }

    /// Appends the canonical bytes of the machine on a cell, with its mark.
    pub fn digest_machine(&self, cell: u32, bytes: &mut Vec<u8>) {
        let Some(n) = self.yard.at(cell) else { return };
        let mut machine = Vec::new();
        self.yard.spot(n).machine.encode(&mut machine);
        bytes.u8(b'M');
        bytes.u32(cell);
        bytes.u16(machine.len() as u16);
        bytes.put(&machine);
    }

    /// Appends whose a cell is, with its mark.
    pub fn digest_owner(&self, cell: u32, bytes: &mut Vec<u8>) {
        if let Some(owner) = self.owners.get(&cell) {
            bytes.u8(b'O');
            bytes.u32(cell);
            owner.encode(bytes);
        }
    }

    /// The bytes after the digests of the chunks: players, their outcomes and counters; nothing without players.
    pub fn digest_players(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for player in &self.players {
            let mut one = Vec::new();
            player.encode(&mut one);
            bytes.u8(b'P');
            bytes.u32(one.len() as u32);
            bytes.put(&one);
            player.recent.iter().for_each(|outcome| outcome.encode(&mut bytes));
        }
        if !self.players.is_empty() {
            bytes.u8(b'W');
            self.encode_counters(&mut bytes);
        }
        bytes
    }
}
