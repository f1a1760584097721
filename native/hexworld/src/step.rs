//! One row's part of a tick: gather what it sees, act, stamp.

use shm::Corrupt;
use shm::rows::{Cells, Needed};

use crate::random::key;
use crate::rule::{self, RowInput, WALL};
use crate::sound::check_codes;
use crate::topology::{Site, Sphere};
use crate::world::World;

/// What acting for a row needs beside the world: padded codes of three rows, the row's old amounts, and
/// where the result is put before it goes to the world's memory as a whole.
pub(crate) struct Scratch {
    padded: [Vec<u8>; 3],
    amounts: Vec<u16>,
    new: Cells,
}

impl Scratch {
    pub fn new(sphere: Sphere) -> Self {
        let f = sphere.frequency() as usize;
        Scratch {
            padded: std::array::from_fn(|_| vec![WALL; f + 2]),
            amounts: vec![0; f],
            new: Cells { codes: vec![0; f], amounts: vec![0; f] },
        }
    }
}

/// A tick under way: every row in it sees the state published before.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub world: &'a World,
    pub tick: u64,
    /// What a reader has pinned.
    pub needed: Option<Needed>,
}

impl Step<'_> {
    /// Writes the next version of `row`.
    pub fn act(&self, row: u32, scratch: &mut Scratch) -> Result<(), Corrupt> {
        let (world, rows, options) = (self.world, &self.world.rows, self.world.options());
        let (sphere, f) = (world.sphere(), world.sphere().frequency());
        let key = options.fixed_key.unwrap_or_else(|| key(options.seed, self.tick, u64::from(row), 0));
        let len = sphere.row_len(row) as usize;
        let Scratch { padded, amounts, new } = scratch;
        let (codes, old) = (&mut new.codes[..len], &mut amounts[..len]);
        let current = rows.current(row, self.tick);
        // What is wrong with any row is noticed within a beat: neighbours are not asked.
        world.check_stamp(row, self.tick, current)?;
        rows.amounts(row, current, old);
        let new = &mut new.amounts[..len];
        if row < 10 * f {
            let (d, i) = (row / f, (row % f + 1) as i32);
            for (n, codes) in (0..).zip(&mut *padded) {
                self.pad(d, i - 1 + n, codes);
            }
            let [up, mid, down] = padded;
            check_codes(&mid[1..=f as usize])?;
            let input = RowInput { up, mid, down, amounts: old, key };
            rule::act_row(options.isa, &world.tables, input, codes, new);
        } else {
            let site = Site { row, col: 0 };
            let around = sphere.neighbours(sphere.cell(site)).map(|id| self.code(sphere.site(id)));
            (codes[0], new[0]) = rule::act_cell(&world.tables, self.code(site), old[0], around, key);
        }
        rows.write(row, self.tick, self.needed, codes, new);
        Ok(())
    }

    fn code(&self, site: Site) -> u8 {
        let rows = &self.world.rows;
        rows.code(site.row, rows.current(site.row, self.tick), site.col)
    }

    /// The codes of row `i` of diamond `d`, 0 and `f + 1` included, with those west and east of it.
    fn pad(&self, d: u32, i: i32, codes: &mut [u8]) {
        let (sphere, rows) = (self.world.sphere(), &self.world.rows);
        let f = sphere.frequency() as i32;
        let halo = |j| sphere.resolve(d, i, j).map_or(WALL, |site| self.code(site));
        if (1..=f).contains(&i) {
            let row = d * sphere.frequency() + (i - 1) as u32;
            rows.codes(row, rows.current(row, self.tick), &mut codes[1..=f as usize]);
            codes[0] = halo(-1);
            codes[f as usize + 1] = halo(f);
        } else {
            for (j, code) in (-1..).zip(codes) {
                *code = halo(j);
            }
        }
    }
}
