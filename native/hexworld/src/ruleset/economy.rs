//! The economy of a ruleset: items, what gives them, machines, recipes and the numbers of a player. Ids are
//! positions in the lists; they are dense and small, so that a machine holds them in one byte.

use serde::Serialize;

/// Most items.
pub const MAX_ITEMS: usize = 64;
/// Most prototypes.
pub const MAX_PROTOTYPES: usize = 32;
/// Most recipes.
pub const MAX_RECIPES: usize = 200;
/// Most different ingredients of a recipe.
pub const MAX_INPUTS: usize = 4;
/// Most different items in a cost.
pub const MAX_COST: usize = 8;

/// The most that a cell ever costs.
pub const MAX_PRICE: u16 = 60_000;

/// An item's id and a count.
pub type Count = (u8, u16);

/// Everything beside the field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Economy {
    /// The kind that halts machines and heats furnaces.
    pub fire: Option<u8>,
    /// Items by id.
    pub items: Vec<Item>,
    /// How kinds are gathered; at most one for a kind.
    pub harvests: Vec<Harvest>,
    /// Prototypes of machines by id.
    pub prototypes: Vec<Prototype>,
    /// Recipes by id.
    pub recipes: Vec<Recipe>,
    /// What a player begins with and may do.
    pub start: Start,
    /// What land costs.
    pub claim: Claim,
}

/// What machines and players carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Unique name.
    pub name: String,
    /// Ticks that a piece burns; 0: it is no fuel.
    pub burns: u16,
}

/// How a kind of field is gathered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Harvest {
    /// The kind.
    pub kind: u8,
    /// What one unit of it gives.
    pub item: u8,
    /// Ticks that a hand needs for a unit; 0: not by hand.
    pub hand: u16,
    /// A unit takes nothing from the cell.
    pub free: bool,
}

/// What a machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Does {
    /// Takes from five sides, gives to the front.
    Carry,
    /// Gives left, ahead and right in turn.
    Split,
    /// Gives one item ahead, all others left and right.
    Sort,
    /// Three straight lanes.
    Cross,
    /// Works at recipes.
    Craft,
    /// Drives its neighbours.
    Drive,
    /// Keeps items.
    Store,
}

/// A kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prototype {
    /// Unique name.
    pub name: String,
    /// What it does.
    pub does: Does,
    /// Ticks before an item goes on: carry, split, sort, cross and store; else 0.
    pub hold: u8,
    /// Work in each tick, for nothing.
    pub wind: u8,
    /// Lit neighbours that drive add work.
    pub drive: bool,
    /// Works while its own fuel burns.
    pub burns: bool,
    /// Pieces of each ingredient that belts fill it up to, if more than two crafts need.
    pub buffer: u16,
    /// Items that a store holds; else 0.
    pub room: u16,
    /// The recipe it is placed with.
    pub default: Option<u8>,
    /// What it costs, by item id.
    pub cost: Vec<Count>,
}

/// A way to make something. Exactly one of a harvested kind, a product and a field change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// Unique name.
    pub name: String,
    /// The prototype that works at it.
    pub at: u8,
    /// Work that it takes.
    pub time: u16,
    /// Ingredients, by item id; none only for a harvest.
    pub inputs: Vec<Count>,
    /// The product; of a harvest, one of its kind's item.
    pub out: Option<Count>,
    /// What else comes out, and never stops the machine.
    pub by: Option<Count>,
    /// The kind of field that it harvests.
    pub harvest: Option<u8>,
    /// It may take the last unit of a cell.
    pub last: bool,
    /// What it does to a cell of the field.
    pub field: Option<FieldChange>,
    /// Players may do it without a machine.
    pub hand: bool,
}

/// A change of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// The first that fits of the own cell and its neighbours; else the cell ahead.
    pub around: bool,
    /// The kind that the cell has.
    pub from: u8,
    /// The kind that it gets.
    pub to: u8,
    /// The amount that it gets; absent: the one it has.
    pub amount: Option<u16>,
}

/// What a player begins with and may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Start {
    /// Items of a new player, by item id.
    pub kit: Vec<Count>,
    /// Most items a player carries.
    pub inventory: u16,
    /// Ticks of a step to a neighbouring cell.
    pub step: u16,
    /// Most units of one gathering.
    pub gather: u16,
    /// Ticks of one craft by hand.
    pub craft: u16,
    /// Most body actions that wait or play.
    pub queue: u8,
}

/// What land costs: cell number n + 1 is `base` + n div `every` pieces of `item`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// What is paid.
    pub item: u8,
    /// The price of the first cells.
    pub base: u16,
    /// Cells after which it rises by one.
    pub every: u16,
    /// Steps that a first claim keeps from land of others.
    pub gap: u8,
    /// Most separate pieces of land of a player.
    pub estates: u8,
}

impl Economy {
    /// The id of an item.
    pub fn item(&self, name: &str) -> Option<u8> {
        id(self.items.iter().map(|i| &i.name), name)
    }

    /// The id of a prototype.
    pub fn prototype(&self, name: &str) -> Option<u8> {
        id(self.prototypes.iter().map(|p| &p.name), name)
    }

    /// The id of a recipe.
    pub fn recipe(&self, name: &str) -> Option<u8> {
        id(self.recipes.iter().map(|r| &r.name), name)
    }

    /// The recipes of a prototype with their ids, in order.
    pub fn recipes_at(&self, prototype: u8) -> impl Iterator<Item = (u8, &Recipe)> {
        self.recipes.iter().enumerate().filter(move |(_, r)| r.at == prototype).map(|(n, r)| (n as u8, r))
    }

    /// How a kind is gathered.
    pub fn harvest_of(&self, kind: u8) -> Option<&Harvest> {
        self.harvests.iter().find(|h| h.kind == kind)
    }

    /// The price of the next cell for a player who owns `claims` cells: at most [`MAX_PRICE`].
    pub fn price(&self, claims: u32) -> u16 {
        let price = u32::from(self.claim.base) + claims / u32::from(self.claim.every);
        price.min(u32::from(MAX_PRICE)) as u16
    }
}

impl Recipe {
    /// Pieces that one craft makes, by-products included.
    pub fn makes(&self) -> u32 {
        [self.out, self.by].into_iter().flatten().map(|(_, n)| u32::from(n)).sum()
    }

    /// The place of an item among the ingredients, and how many a craft takes.
    pub fn ingredient(&self, item: u8) -> Option<(usize, u16)> {
        self.inputs.iter().position(|i| i.0 == item).map(|n| (n, self.inputs[n].1))
    }
}

fn id<'a>(mut names: impl Iterator<Item = &'a String>, name: &str) -> Option<u8> {
    names.position(|n| n == name).map(|n| n as u8)
}
