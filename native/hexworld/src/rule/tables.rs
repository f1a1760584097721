//! A ruleset compiled to tables: the 32 clauses are the bits of one integer (0–7 `grow`, 8–31
//! `turn`), and each thing a clause asks is a table of the clauses it leaves standing.

use crate::ruleset::{Condition, MAX_KINDS, Ruleset};

/// A turn clause's effect.
#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    kind: u8,
    keeps_amount: bool,
    amount: u16,
}

/// The tables of one ruleset.
#[derive(Debug, Clone)]
pub struct Tables {
    /// By code: what a neighbour adds to the count. Counters 0–3 are the digits to base 7 of the low
    /// half, 4–7 those of the high half; six neighbours cannot overflow a digit.
    counted: [u32; 256],
    /// By a half of the count: clauses that allow these counts.
    counts: [[u32; 1 << 12]; 2],
    /// By own code and the byte A of the dice (z0, z1): clauses that select the one and allow the other.
    own: [u32; 1 << 12],
    /// By the byte B of the dice (z2, z3).
    dice: [u32; 256],
    /// Clauses that do not need a full cell.
    not_full: u32,
    /// By the eight grow bits: the clamped sum of what they add.
    add: [i8; 256],
    /// By turn clause.
    outcomes: [Outcome; 32],
    kinds: [Limits; MAX_KINDS],
}

/// What the kernel knows of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub cap: u16,
    pub ripe: u16,
    /// All ones if the kind becomes another one at amount 0.
    pub fades: u16,
    spent: u8,
}

impl Tables {
    /// Compiles a ruleset.
    pub fn new(ruleset: &Ruleset) -> Self {
        let clauses: Vec<(u32, &Condition)> = (ruleset.grow.iter().map(|g| &g.condition).zip(0..))
            .chain(ruleset.turn.iter().map(|t| &t.condition).zip(8..))
            .map(|(condition, bit)| (bit, condition))
            .collect();
        let mask = |keep: &dyn Fn(&Condition) -> bool| -> u32 {
            clauses.iter().filter(|(_, c)| keep(c)).map(|(bit, _)| 1 << bit).sum()
        };
        let half = |bits: usize, from: usize| -> i16 {
            let chosen = ruleset.grow.iter().enumerate().skip(from).take(4);
            chosen.filter(|(n, _)| bits & (1 << n) != 0).map(|(_, g)| i16::from(g.add)).sum()
        };
        let mut outcomes = [Outcome::default(); 32];
        for (outcome, turn) in outcomes.iter_mut().zip(&ruleset.turn) {
            *outcome = Outcome {
                kind: turn.to,
                keeps_amount: turn.amount.is_none(),
                amount: turn.amount.unwrap_or(0),
            };
        }
        let digits =
            |half: usize, sum: usize| (0..4).map(move |n| (4 * half + n, sum / 7usize.pow(n as u32) % 7));

        Tables {
            counted: std::array::from_fn(|code| {
                let counters = ruleset.counters.iter().enumerate();
                let hits = counters.filter(|(_, c)| code < 16 && c.of & (1 << code) != 0);
                hits.map(|(n, _)| 7u32.pow(n as u32 % 4) << (16 * (n / 4))).sum()
            }),
            counts: std::array::from_fn(|half| {
                std::array::from_fn(|sum| {
                    mask(&|c| digits(half, sum).all(|(n, count)| c.when[n] & (1 << count) != 0))
                })
            }),
            own: std::array::from_fn(|index| {
                let (code, z0, z1) = (index >> 8, (index & 15) as u8, index >> 4 & 15);
                mask(&|c| c.of & (1 << code) != 0 && z0 < c.chance.0 && (c.chance.1 < 1 || z1 == 0))
            }),
            dice: std::array::from_fn(|b| {
                mask(&|c| (c.chance.1 < 2 || b & 15 == 0) && (c.chance.1 < 3 || b >> 4 == 0))
            }),
            not_full: mask(&|c| !c.full),
            add: std::array::from_fn(|bits| (half(bits, 0) + half(bits, 4)).clamp(-128, 127) as i8),
            outcomes,
            kinds: std::array::from_fn(|id| match ruleset.kinds.get(id) {
                Some(kind) => Limits {
                    cap: kind.cap,
                    ripe: kind.ripe,
                    fades: if usize::from(kind.spent) == id { 0 } else { u16::MAX },
                    spent: kind.spent,
                },
                None => Limits { cap: u16::MAX, ripe: u16::MAX, fades: 0, spent: id as u8 },
            }),
        }
    }

    /// What a neighbour with this code adds to the count of a cell.
    #[inline(always)]
    pub fn counted(&self, code: u8) -> u32 {
        self.counted[usize::from(code)]
    }

    /// The code of a cell: its kind, and bit 3 if the amount is ripe. The only place it is derived.
    #[inline(always)]
    pub fn code(&self, kind: u8, amount: u16) -> u8 {
        let kind = kind & 7;
        kind | u8::from(amount >= self.kinds[usize::from(kind)].ripe) << 3
    }

    /// The clauses that match, if a full cell may match them all.
    #[inline(always)]
    pub(super) fn clauses(&self, code: u8, count: u32, a: u8, b: u8) -> u32 {
        self.own[usize::from(code & 15) << 8 | usize::from(a)]
            & self.counts[0][(count & 0xfff) as usize]
            & self.counts[1][(count >> 16 & 0xfff) as usize]
            & self.dice[usize::from(b)]
    }

    /// All ones if `amount` is full, else the clauses that do not ask for it. Arithmetic, because the
    /// data decides and a branch would be mispredicted.
    #[inline(always)]
    pub(super) fn full(&self, amount: u16, cap: u16) -> u32 {
        self.not_full | 0u32.wrapping_sub(u32::from(amount >= cap))
    }

    #[inline(always)]
    pub(super) fn limits(&self, code: u8) -> Limits {
        self.kinds[usize::from(code & 7)]
    }

    /// What the matching grow clauses add.
    #[inline(always)]
    pub(super) fn add(&self, clauses: u32) -> i16 {
        i16::from(self.add[(clauses & 0xff) as usize])
    }

    /// The rule for one cell: `count` is the sum of [`Tables::counted`] over its neighbours, `a` and `b`
    /// are its dice.
    #[inline(always)]
    pub fn next(&self, code: u8, amount: u16, count: u32, a: u8, b: u8) -> (u8, u16) {
        let limits = self.limits(code);
        let clauses = self.clauses(code, count, a, b) & self.full(amount, limits.cap);
        let grown = amount.saturating_add_signed(self.add(clauses)).min(limits.cap);
        if clauses >> 8 | u32::from(limits.fades & u16::from(grown == 0)) != 0 {
            return self.turned(code & 7, grown, clauses);
        }
        ((code & 7) | u8::from(grown >= limits.ripe) << 3, grown)
    }

    /// A cell that may change its kind.
    #[cold]
    #[inline(never)]
    pub(super) fn turned(&self, kind: u8, amount: u16, clauses: u32) -> (u8, u16) {
        let (mut kind, mut amount, turns) = (kind, amount, clauses >> 8);
        if turns != 0 {
            let outcome = self.outcomes[(turns.trailing_zeros() & 31) as usize];
            kind = outcome.kind;
            if !outcome.keeps_amount {
                amount = outcome.amount;
            }
        }
        if amount == 0 {
            kind = self.kinds[usize::from(kind & 7)].spent;
        }
        (self.code(kind, amount), amount)
    }
}
