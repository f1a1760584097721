//! The field rule clause by clause, as section 4 of its specification states it. Slow and plain on
//! purpose: it knows the schema, the neighbours and the random numbers, and no table.

use hexworld::random::{dice, key};
use hexworld::ruleset::{Condition, Ruleset};
use hexworld::topology::Site;
use hexworld::{Sphere, WorldOptions};

/// Kinds and amounts of all cells in id order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Kind of each cell.
    pub kinds: Vec<u8>,
    /// Amount of each cell.
    pub amounts: Vec<u16>,
}

impl State {
    /// Kind and amount of a cell.
    pub fn cell(&self, cell: u32) -> (u8, u16) {
        (self.kinds[cell as usize], self.amounts[cell as usize])
    }
}

/// What the rule is a function of, besides the state and the tick.
pub struct Reference {
    sphere: Sphere,
    seed: u64,
    fixed_key: Option<u64>,
    ruleset: Ruleset,
}

impl Reference {
    /// For the world that `options` describe.
    pub fn new(options: &WorldOptions) -> Self {
        Reference {
            sphere: super::sphere(options.frequency),
            seed: options.seed,
            fixed_key: options.fixed_key,
            ruleset: options.ruleset.clone(),
        }
    }

    /// The state after `tick` was executed on `state`.
    pub fn tick(&self, state: &State, tick: u64) -> State {
        let mut next = state.clone();
        for row in 0..self.sphere.rows() {
            if !self.acts(row, tick) {
                continue;
            }
            for col in 0..self.sphere.row_len(row) {
                let site = Site { row, col };
                let cell = self.sphere.cell(site);
                let (kind, amount) = self.cell(state, site, tick);
                next.kinds[cell as usize] = kind;
                next.amounts[cell as usize] = amount;
            }
        }
        next
    }

    fn acts(&self, row: u32, tick: u64) -> bool {
        let beat = u64::from(self.ruleset.beat);
        key(self.seed, tick / beat, u64::from(row), 1) % beat == tick % beat
    }

    fn cell(&self, state: &State, site: Site, tick: u64) -> (u8, u16) {
        let id = self.sphere.cell(site);
        let (kind, amount) = state.cell(id);
        let row_key = self.fixed_key.unwrap_or(key(self.seed, tick, u64::from(site.row), 0));
        let z = dice(row_key, site.col);

        let around: Vec<_> = self.sphere.neighbours(id).map(|other| state.cell(other)).collect();
        let counts: Vec<usize> = self
            .ruleset
            .counters
            .iter()
            .map(|counter| around.iter().filter(|&&(k, a)| self.selects(counter.of, k, a)).count())
            .collect();
        let matches = |c: &Condition| {
            self.selects(c.of, kind, amount)
                && (!c.full || amount >= self.ruleset.kinds[usize::from(kind)].cap)
                && counts.iter().zip(c.when).all(|(&count, allowed)| allowed & (1 << count) != 0)
                && z[0] < c.chance.0
                && z[1..=usize::from(c.chance.1)].iter().all(|&nibble| nibble == 0)
        };

        let growing = self.ruleset.grow.iter().filter(|g| matches(&g.condition));
        let added = growing.map(|g| i32::from(g.add)).sum::<i32>().clamp(-128, 127);
        let grown = (i32::from(amount) + added).clamp(0, 65535) as u16;
        let grown = grown.min(self.ruleset.kinds[usize::from(kind)].cap);

        let (kind, amount) = match self.ruleset.turn.iter().find(|t| matches(&t.condition)) {
            Some(turn) => (turn.to, turn.amount.unwrap_or(grown)),
            None => (kind, grown),
        };
        (self.left(kind, amount), amount)
    }

    fn selects(&self, codes: u16, kind: u8, amount: u16) -> bool {
        let ripe = amount >= self.ruleset.kinds[usize::from(kind)].ripe;
        codes & (1 << (kind | u8::from(ripe) << 3)) != 0
    }

    /// The kind of a cell that has come to `amount`.
    fn left(&self, kind: u8, amount: u16) -> u8 {
        if amount == 0 { self.ruleset.kinds[usize::from(kind)].spent } else { kind }
    }

    /// Takes up to `count` from a cell and returns what it gave.
    pub fn harvest(&self, state: &mut State, cell: u32, count: u16) -> u16 {
        let (kind, amount) = state.cell(cell);
        let given = count.min(amount);
        state.amounts[cell as usize] = amount - given;
        state.kinds[cell as usize] = self.left(kind, amount - given);
        given
    }
}
