//! The actions of a tick, as they come from the border, and the codes of their outcomes.
//!
//! `count u16`, then of each: its length (u16), the player's name and the action's id (each after its length in a
//! byte), the operation (u8) and its fields. Little-endian.

use thiserror::Error;

use super::bytes::Reader;
use super::machine::NONE;
use super::player::Deed;
use crate::ruleset::Economy;

/// Bytes of a player's name, and of an action's id.
pub(crate) const MAX_NAME: usize = 64;
/// Most crafts of one action, and most items of one `take` or `put`.
const MAX_CRAFTS: u16 = 1_000;
const MAX_COUNT: u16 = 60_000;

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BatchError {
    /// The world's ruleset has no economy.
    #[error("the world's ruleset has no players")]
    NoEconomy,
    /// The bytes of an action cannot be.
    #[error("action {0} of the batch cannot be read")]
    Action(usize),
    /// It is for a tick to come.
    #[error("the batch is for tick {batch}, the world is at {tick}")]
    Early {
        /// Tick of the batch.
        batch: u64,
        /// Published tick.
        tick: u64,
    },
    /// Another call holds the world.
    #[error("another call is advancing this world")]
    Busy,
    /// The world's memory is not what it must be.
    #[error(transparent)]
    Corrupt(#[from] shm::Corrupt),
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Code {
    Applied = 0,
    Pentagon = 2,
    Reserved = 3,
    NotYours = 4,
    AlreadyYours = 5,
    TouchesForeign = 6,
    NotAdjacent = 7,
    TooClose = 8,
    TooManyEstates = 9,
    Occupied = 10,
    NoMachine = 11,
    MissingItems = 12,
    InventoryFull = 13,
    QueueFull = 14,
    TooFar = 15,
    Empty = 16,
    NotHarvestable = 17,
    NotEnough = 18,
    NotAccepted = 19,
    Full = 20,
    WrongRecipe = 21,
    NotByHand = 22,
    UnknownPlayer = 23,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Join { cell: u32 },
    Body(Deed),
    Claim { cell: u32 },
    Release { cell: u32 },
    Place { cell: u32, prototype: u8, direction: u8 },
    Remove { cell: u32 },
    Rotate { cell: u32, direction: u8 },
    SetRecipe { cell: u32, recipe: u8, item: u8 },
    Take { cell: u32, item: u8, count: u16 },
    Put { cell: u32, item: u8, count: u16 },
    Grant { cell: u32, player: Option<Box<str>> },
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Action {
    pub by: Box<str>,
    pub id: Box<[u8]>,
    pub op: Op,
}

/// Reads a batch for a world of this economy and `cells` cells.
pub(crate) fn decode(economy: &Economy, cells: u32, bytes: &[u8]) -> Result<Vec<Action>, BatchError> {
    let mut reader = Reader(bytes);
    let count = reader.u16().ok_or(BatchError::Action(0))?;
    let mut actions = Vec::with_capacity(usize::from(count).min(bytes.len() / 8));
    for n in 0..usize::from(count) {
        let read = reader.long().and_then(|bytes| action(economy, cells, bytes));
        actions.push(read.ok_or(BatchError::Action(n))?);
    }
    reader.end().ok_or(BatchError::Action(usize::from(count)))?;
    Ok(actions)
}

fn name(bytes: &[u8]) -> Option<&str> {
    let sound = (1..=MAX_NAME).contains(&bytes.len());
    std::str::from_utf8(bytes).ok().filter(|_| sound)
}

fn action(economy: &Economy, cells: u32, bytes: &[u8]) -> Option<Action> {
    let mut reader = Reader(bytes);
    let (by, id) = (name(reader.short()?)?, name(reader.short()?)?);
    let op = reader.u8()?;
    let op = operation(economy, cells, op, &mut reader)?;
    reader.end()?;
    Some(Action { by: by.into(), id: id.as_bytes().into(), op })
}

fn operation(economy: &Economy, cells: u32, op: u8, reader: &mut Reader) -> Option<Op> {
    if op == 11 {
        let (recipe, count) = (known(reader.u8()?, economy.recipes.len())?, reader.u16()?);
        return (1..=MAX_CRAFTS).contains(&count).then_some(Op::Body(Deed::Craft(recipe, count)));
    }
    let cell = reader.u32()?;
    if cell >= cells {
        return None;
    }
    let or_none = |id: u8, len: usize| if id == NONE { Some(id) } else { known(id, len) };
    let amount = |reader: &mut Reader| {
        let (item, count) = (known(reader.u8()?, economy.items.len())?, reader.u16()?);
        (1..=MAX_COUNT).contains(&count).then_some((item, count))
    };
    Some(match op {
        0 => Op::Join { cell },
        1 => Op::Body(Deed::Move(cell)),
        2 => Op::Body(Deed::Gather(cell)),
        3 => Op::Claim { cell },
        4 => Op::Release { cell },
        5 => {
            let prototype = known(reader.u8()?, economy.prototypes.len())?;
            Op::Place { cell, prototype, direction: known(reader.u8()?, 6)? }
        }
        6 => Op::Remove { cell },
        7 => Op::Rotate { cell, direction: known(reader.u8()?, 6)? },
        8 => {
            let recipe = or_none(reader.u8()?, economy.recipes.len())?;
            Op::SetRecipe { cell, recipe, item: or_none(reader.u8()?, economy.items.len())? }
        }
        9 => amount(reader).map(|(item, count)| Op::Take { cell, item, count })?,
        10 => amount(reader).map(|(item, count)| Op::Put { cell, item, count })?,
        12 => {
            let player = reader.short()?;
            let player = if player.is_empty() { None } else { Some(name(player)?.into()) };
            Op::Grant { cell, player }
        }
        _ => return None,
    })
}

fn known(id: u8, len: usize) -> Option<u8> {
    (usize::from(id) < len).then_some(id)
}
