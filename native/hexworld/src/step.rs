//! One row's part of a tick: gather what it sees, act, stamp.

use crate::random::key;
use crate::rows::Rows;
use crate::rule::{self, RowInput, WALL};
use crate::topology::{Site, Sphere};
use crate::world::World;

/// Padded codes of three rows.
pub(crate) struct Scratch([Vec<u8>; 3]);

impl Scratch {
    pub fn new(sphere: Sphere) -> Self {
        let padded = sphere.frequency() as usize + 2;
        Scratch(std::array::from_fn(|_| vec![WALL; padded]))
    }
}

/// Copies of the ten rows that a whole side of another diamond looks at: row 1 of the northern
/// diamonds and row f of the southern ones. Read in place, their locks would bounce between the cores.
#[derive(Debug, Default)]
pub(crate) struct Edges([Vec<u8>; 10]);

impl Edges {
    pub fn copy(&mut self, rows: &Rows, sphere: Sphere, tick: u64) {
        let f = sphere.frequency();
        for (d, edge) in (0..).zip(&mut self.0) {
            let row = d * f + if d < 5 { 0 } else { f - 1 };
            edge.clear();
            edge.extend_from_slice(&rows.read(row, tick).codes);
        }
    }

    fn code(&self, f: u32, site: Site) -> Option<u8> {
        let (d, i) = (site.row / f, site.row % f);
        let kept = d < 5 && i == 0 || (5..10).contains(&d) && i == f - 1;
        kept.then(|| self.0[d as usize][site.col as usize])
    }
}

/// A tick under way: every row in it sees the state published before.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub world: &'a World,
    pub tick: u64,
    pub edges: &'a Edges,
}

impl Step<'_> {
    /// Writes the next version of `row`.
    pub fn act(&self, row: u32, scratch: &mut Scratch) {
        let (world, rows, options) = (self.world, &self.world.rows, self.world.options());
        let (sphere, f) = (world.sphere(), world.sphere().frequency());
        let key = options.fixed_key.unwrap_or_else(|| key(options.seed, self.tick, u64::from(row), 0));
        let old = rows.read(row, self.tick);
        let mut new = rows.begin(row, self.tick);
        let cells = &mut *new;
        if row < 10 * f {
            let (d, i) = (row / f, (row % f + 1) as i32);
            for (n, codes) in (0..).zip(&mut scratch.0) {
                self.pad(d, i - 1 + n, codes);
            }
            let [up, mid, down] = &scratch.0;
            let input = RowInput { up, mid, down, amounts: &old.amounts, key };
            rule::act_row(options.isa, &world.tables, input, &mut cells.codes, &mut cells.amounts);
        } else {
            let cell = sphere.cell(Site { row, col: 0 });
            let around = sphere.neighbours(cell).map(|id| self.code(sphere.site(id)));
            (cells.codes[0], cells.amounts[0]) =
                rule::act_cell(&world.tables, old.codes[0], old.amounts[0], around, key);
        }
        rows.finish(row, self.tick, new);
    }

    fn code(&self, site: Site) -> u8 {
        let kept = self.edges.code(self.world.sphere().frequency(), site);
        kept.unwrap_or_else(|| self.world.rows.read(site.row, self.tick).codes[site.col as usize])
    }

    /// The codes of row `i` of diamond `d`, 0 and `f + 1` included, with those west and east of it.
    fn pad(&self, d: u32, i: i32, codes: &mut [u8]) {
        let sphere = self.world.sphere();
        let f = sphere.frequency() as i32;
        let halo = |j| sphere.resolve(d, i, j).map_or(WALL, |site| self.code(site));
        if (1..=f).contains(&i) {
            let row = d * sphere.frequency() + (i - 1) as u32;
            codes[1..=f as usize].copy_from_slice(&self.world.rows.read(row, self.tick).codes);
            codes[0] = halo(-1);
            codes[f as usize + 1] = halo(f);
        } else {
            for (j, code) in (-1..).zip(codes) {
                *code = halo(j);
            }
        }
    }
}
