//! Machines, players and what belongs to whom: the part of a world that players change.
//!
//! A tick of it comes after the field rule's part of the same tick: first the deeds of bodies that end now and the
//! actions that were taken in, then the phases of the machines. What it changes in the field is first seen by the
//! rule in the next tick. `docs/rules.md` says all of it in prose.
//!
//! The working copy is ordinary memory. Every object that a tick changes is written to the world's cards before the
//! tick is published, and a successor begins with what was published.

mod actions;
mod batch;
mod bits;
mod bodies;
mod bytes;
mod claims;
mod field;
mod machine;
mod moves;
mod phases;
mod player;
mod read;
mod store;
mod watch;
mod yard;

use std::collections::{BTreeSet, HashMap, HashSet};

pub use batch::{BatchError, Code};
pub use player::Outcome;
pub use read::{PlayerOutcome, SiteView};

use crate::ruleset::Economy;
use crate::topology::Sphere;
use batch::Op;
pub(crate) use batch::{Action, decode};
pub(crate) use field::Field;
use machine::Machine;
use moves::Moves;
use phases::Phases;
use player::Player;
pub(crate) use store::{
    CARDS_OF_ACTION, StoreError, WORLD_KEY, machine_key, outcome_key, owner_key, player_key,
};
use watch::Watch;
use yard::{ByNumber, Owner, Yard};

/// The working copy of a world's objects.
#[derive(Debug)]
pub(crate) struct Factory {
    economy: Economy,
    sphere: Sphere,
    yard: Yard,
    owners: ByNumber<u32, Owner>,
    /// The cells of each player.
    lands: ByNumber<u32, HashSet<u32>>,
    /// By number, which is one more than the place.
    players: Vec<Player>,
    names: HashMap<Box<str>, u32>,
    /// Deeds under way: the tick that ends each, and whose it is.
    playing: BTreeSet<(u64, u32)>,
    /// Outcomes of the world so far.
    seq: u64,
    watch: Watch,
    /// Cells whose change the machines have yet to notice.
    unnoticed: Vec<u32>,
    changed: Changed,
}

/// What a tick has changed beside machines.
#[derive(Debug, Default)]
struct Changed {
    removed: HashSet<u32>,
    owners: HashSet<u32>,
    players: BTreeSet<u32>,
    /// Player and slot.
    outcomes: Vec<(u32, u32)>,
}

impl Factory {
    /// Without any object.
    pub fn new(economy: Economy, sphere: Sphere) -> Self {
        Factory {
            economy,
            sphere,
            yard: Yard::default(),
            owners: ByNumber::default(),
            lands: ByNumber::default(),
            players: Vec::new(),
            names: HashMap::new(),
            playing: BTreeSet::new(),
            seq: 0,
            watch: Watch::default(),
            unnoticed: Vec::new(),
            changed: Changed::default(),
        }
    }

    /// Everything after the field rule in `tick`. `acted` are the rows that the rule has written.
    pub fn tick(&mut self, tick: u64, acted: &[u32], actions: &[Action], field: &mut Field) {
        self.end_deeds(tick, field);
        for action in actions {
            self.act(tick, field, action);
        }
        self.notice_field(acted, field);
        let before = field.changed(0).len();
        self.yard.begin();
        let (economy, owners) = (&self.economy, &self.owners);
        Phases { economy, yard: &mut self.yard, field, owners, tick }.run();
        Moves { economy, yard: &mut self.yard, tick }.run();
        self.unnoticed.extend_from_slice(field.changed(before));
    }

    fn act(&mut self, tick: u64, field: &mut Field, action: &Action) {
        if let Op::Join { cell } = action.op {
            return self.join(&action.by, cell);
        }
        let Some(&number) = self.names.get(&action.by) else { return };
        if self.player(number).knows(&action.id) {
            return;
        }
        if let Op::Body(deed) = action.op {
            return self.enqueue(tick, field, number, deed, &action.id);
        }
        let code = match self.apply(field, number, &action.op) {
            Ok(()) => Code::Applied,
            Err(code) => code,
        };
        self.outcome(tick, number, code, &action.id);
    }

    fn join(&mut self, name: &str, cell: u32) {
        if self.names.contains_key(name) {
            return;
        }
        let number = self.players.len() as u32 + 1;
        self.players.push(Player::new(&self.economy, number, name, cell));
        self.names.insert(name.into(), number);
        self.changed.players.insert(number);
    }

    fn outcome(&mut self, tick: u64, number: u32, code: Code, id: &[u8]) {
        let outcome = Outcome { tick: tick + 1, seq: self.seq, code: code as u8, id: id.into() };
        self.seq += 1;
        let slot = self.player_mut(number).remember(outcome);
        self.changed.outcomes.push((number, slot));
    }

    fn player(&self, number: u32) -> &Player {
        &self.players[number as usize - 1]
    }

    /// A player who is about to change.
    fn player_mut(&mut self, number: u32) -> &mut Player {
        self.changed.players.insert(number);
        &mut self.players[number as usize - 1]
    }

    /// Has machines look at the field anew where it may have changed: fires halt and heat them, and those that wait
    /// for it may find something.
    fn notice_field(&mut self, acted: &[u32], field: &Field) {
        let mut looks: Vec<u32> = Vec::new();
        for &row in acted {
            self.watch.acted(row, &field.row(row), self.economy.fire, &self.yard, &mut looks);
        }
        let unnoticed = std::mem::take(&mut self.unnoticed);
        for &cell in unnoticed.iter().chain(field.changed(0)) {
            let beside = self.sphere.neighbours(cell);
            looks.extend(beside.chain([cell]).filter_map(|cell| self.yard.at(cell)));
        }
        for n in looks {
            self.notice(n, field);
        }
    }

    fn notice(&mut self, n: u32, field: &Field) {
        if self.yard.waits(n) {
            self.yard.wake(n);
        }
        let Some(fire) = self.economy.fire else { return };
        let spot = self.yard.spot(n);
        let burns = self.economy.prototypes[usize::from(spot.machine.prototype)].burns;
        let halted = field.kind(spot.cell) == fire;
        let hot = burns && spot.around.iter().any(|&cell| field.kind(cell) == fire);
        if halted || hot {
            self.watch.burns(&self.economy, self.sphere, n, spot);
        }
        if (halted, hot) != (spot.halted, spot.hot) {
            let spot = self.yard.spot_mut(n);
            (spot.halted, spot.hot) = (halted, hot);
            self.yard.wake(n);
            self.yard.wake_around(n);
        }
    }

    /// Has the machines look again that care whose a cell is: those beside it, and those beside these.
    fn wake_near(&mut self, cell: u32) {
        let mut near: Vec<u32> = vec![cell];
        for _ in 0..2 {
            let beside: Vec<u32> = near.iter().flat_map(|&cell| self.sphere.neighbours(cell)).collect();
            near.extend(beside);
            near.sort_unstable();
            near.dedup();
        }
        for n in near.into_iter().filter_map(|cell| self.yard.at(cell)).collect::<Vec<_>>() {
            self.yard.wake(n);
        }
    }

    /// Sets a machine up on an owned cell that has none.
    fn set_up(&mut self, cell: u32, machine: Machine, owner: Owner) -> u32 {
        let n = self.yard.put(self.sphere, cell, machine, owner);
        self.watch.add(&self.economy, self.sphere, n, self.yard.spot(n));
        self.unnoticed.push(cell);
        self.changed.removed.remove(&cell);
        self.yard.stir(n);
        n
    }

    /// Takes a machine away for good.
    fn tear_down(&mut self, n: u32) {
        self.watch.remove(&self.economy, self.sphere, n, self.yard.spot(n));
        self.yard.wake_around(n);
        if let Some(spot) = self.yard.take(n) {
            self.changed.removed.insert(spot.cell);
        }
    }
}
