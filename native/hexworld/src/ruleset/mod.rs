//! Rulesets: the data that the field rule is driven by, read from TOML and normalised to masks.

mod economy;
mod parse;
mod read;
mod read_economy;
mod read_recipe;

pub use economy::{
    Claim, Count, Does, Economy, FieldChange, Harvest, Item, MAX_COST, MAX_INPUTS, MAX_ITEMS, MAX_PRICE,
    MAX_PROTOTYPES, MAX_RECIPES, Prototype, Recipe, Start,
};
pub use parse::{MAX_TEXT_BYTES, RulesetError};

use serde::Serialize;

/// Most kinds of field a ruleset may have.
pub const MAX_KINDS: usize = 8;
/// Most counters.
pub const MAX_COUNTERS: usize = 8;
/// Most `grow` clauses.
pub const MAX_GROW: usize = 8;
/// Most `turn` clauses.
pub const MAX_TURN: usize = 24;
/// Most different `amount` constants.
pub const MAX_AMOUNTS: usize = 15;
/// A count mask that allows each of 0…6.
pub const ANY_COUNT: u8 = 0x7f;

/// A complete, valid ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ruleset {
    /// One row in `beat` acts in a tick; a power of two, 1…256.
    pub beat: u16,
    /// Kinds by id.
    pub kinds: Vec<Kind>,
    /// Counters over the neighbours.
    pub counters: Vec<Counter>,
    /// Clauses that change the amount; all that match add up.
    pub grow: Vec<Grow>,
    /// Clauses that change the kind; the first that matches wins.
    pub turn: Vec<Turn>,
    /// How a world begins; absent: all kind 0 with amount 0.
    #[serde(rename = "gen")]
    pub generation: Option<Generation>,
    /// Items, machines and players; absent: the world is a field and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub economy: Option<Economy>,
}

/// A kind of field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// Unique name.
    pub name: String,
    /// A cell with at least this amount is ripe.
    pub ripe: u16,
    /// Growth stops here.
    pub cap: u16,
    /// The kind a cell becomes when its amount reaches 0.
    pub spent: u8,
}

/// Counts the neighbours whose code is in a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// Unique name.
    pub name: String,
    /// Bit `kind | ripe << 3` is set for each code that counts.
    pub of: u16,
}

/// When a clause matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Codes of the cell itself, as [`Counter::of`].
    pub of: u16,
    /// Only with an amount of at least the kind's cap.
    pub full: bool,
    /// Per counter, bit `n` is set where a count of `n` is allowed.
    pub when: [u8; MAX_COUNTERS],
    /// `(n, r)`: probability n/16 · 16^-r.
    pub chance: (u8, u8),
}

/// A clause that changes the amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grow {
    /// When it applies.
    #[serde(flatten)]
    pub condition: Condition,
    /// What it adds.
    pub add: i8,
}

/// A clause that changes the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// When it applies.
    #[serde(flatten)]
    pub condition: Condition,
    /// The new kind.
    pub to: u8,
    /// The new amount; absent: the grown one stays.
    pub amount: Option<u16>,
}

/// Thresholds of world generation, each compared with noise in 0…65535.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Generation {
    pub sea: u16,
    pub shore: u16,
    pub vein: u16,
    pub ore: u16,
    pub ore_amount: u16,
    pub moss: u16,
    pub thicket: u16,
    pub crystal: u16,
    pub ember: u16,
    pub peat: u16,
}

/// Kind names that `gen` needs, in order of id.
pub const GENERATED_KINDS: [&str; MAX_KINDS] =
    ["rock", "water", "moss", "thicket", "ferrite", "crystal", "ember", "peat"];

impl Ruleset {
    /// Reads a ruleset from TOML.
    ///
    /// ```
    /// let life = r#"
    /// beat = 1
    /// kind = [{ name = "rock", ripe = 1, cap = 60 }, { name = "moss", ripe = 1, cap = 60 }]
    /// counter = [{ name = "alive", of = ["moss"] }]
    /// turn = [
    ///   { of = ["rock"], when = { alive = [2] }, to = "moss", amount = 1 },
    ///   { of = ["moss"], when = { alive = [0, 1, 2, 5, 6] }, to = "rock", amount = 0 },
    /// ]
    /// "#;
    /// assert_eq!(hexworld::Ruleset::parse(life)?.turn.len(), 2);
    ///
    /// let error = hexworld::Ruleset::parse("beat = 3").unwrap_err();
    /// assert_eq!((error.line, error.column), (1, 8));
    /// # Ok::<(), hexworld::RulesetError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, RulesetError> {
        read::ruleset(text)
    }

    /// BLAKE3 of the normalised content as compact JSON, fields in the order declared here: layout
    /// and comments of the file do not count, everything that the rule can see does.
    pub fn hash(&self) -> [u8; 32] {
        let json = serde_json::to_vec(self).expect("plain data with string keys");
        *blake3::hash(&json).as_bytes()
    }
}

#[cfg(test)]
mod economy_tests;
#[cfg(test)]
mod tests;
