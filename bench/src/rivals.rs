//! Rivals of the tick kernel: what the same work costs done in other ways.

use hexworld::Sphere;
use hexworld::random::{dice_pair, key};
use hexworld::rule::{Tables, WALL};

/// The same rule over a table of six neighbour ids per cell, as most sphere worlds keep it.
pub struct NeighbourTable {
    sphere: Sphere,
    seed: u64,
    tables: Tables,
    /// Six ids per cell; the pentagons' missing one points past the end, at a wall.
    neighbours: Vec<[u32; 6]>,
    codes: [Vec<u8>; 2],
    amounts: [Vec<u16>; 2],
}

impl NeighbourTable {
    /// Starts from a world's present state. Every row acts in every tick.
    pub fn new(world: &hexworld::World) -> Self {
        let sphere = world.sphere();
        let tables = Tables::new(&world.options().ruleset);
        let (_, kinds, amounts) = world.planes().expect("the world is at rest");
        let mut codes: Vec<u8> = kinds.iter().zip(&amounts).map(|(&k, &a)| tables.code(k, a)).collect();
        codes.push(WALL);
        let around =
            |cell| std::array::from_fn(|d| sphere.neighbour(cell, d as u8).unwrap_or(sphere.cells()));
        NeighbourTable {
            sphere,
            seed: world.options().seed,
            tables,
            neighbours: (0..sphere.cells()).map(around).collect(),
            codes: [codes.clone(), codes],
            amounts: [amounts.clone(), amounts],
        }
    }

    /// Executes `tick`.
    pub fn step(&mut self, tick: u64) {
        let [codes, next_codes] = &mut self.codes;
        let [amounts, next_amounts] = &mut self.amounts;
        let mut cell = 0;
        for row in 0..self.sphere.rows() {
            let key = key(self.seed, tick, u64::from(row), 0);
            for col in 0..self.sphere.row_len(row) {
                let counts =
                    self.neighbours[cell].iter().map(|&id| self.tables.counted(codes[id as usize])).sum();
                let (x, y) = dice_pair(key, (col >> 1) as u16);
                let shift = (col & 1) * 8;
                (next_codes[cell], next_amounts[cell]) = self.tables.next(
                    codes[cell],
                    amounts[cell],
                    counts,
                    (x >> shift) as u8,
                    (y >> shift) as u8,
                );
                cell += 1;
            }
        }
        self.codes.swap(0, 1);
        self.amounts.swap(0, 1);
    }

    /// Kinds and amounts of all cells.
    pub fn planes(&self) -> (Vec<u8>, &[u16]) {
        let cells = self.sphere.cells() as usize;
        (self.codes[0][..cells].iter().map(|code| code & 7).collect(), &self.amounts[0])
    }
}

/// A kernel with the loads and stores of the rule on diamonds, and no rule: the memory bound.
pub struct Stub {
    width: usize,
    codes: [Vec<u8>; 2],
    amounts: [Vec<u16>; 2],
}

impl Stub {
    /// State for `sphere`, one padded row after another.
    pub fn new(sphere: Sphere) -> Self {
        let width = sphere.frequency() as usize + 2;
        let cells = width * (sphere.rows() as usize + 2);
        let codes: Vec<u8> = (0..cells).map(|n| (n * 7 % 16) as u8).collect();
        let amounts: Vec<u16> = (0..cells).map(|n| n as u16).collect();
        Stub { width, codes: [codes.clone(), codes], amounts: [amounts.clone(), amounts] }
    }

    /// Loads what the rule loads and stores what it stores.
    pub fn step(&mut self) {
        let w = self.width;
        let [codes, next_codes] = &mut self.codes;
        let [amounts, next_amounts] = &mut self.amounts;
        let rows = codes.len() / w;
        for row in 1..rows - 1 {
            let at = |row: usize| row * w..(row + 1) * w;
            let (up, mid, down) = (&codes[at(row - 1)], &codes[at(row)], &codes[at(row + 1)]);
            let out = &mut next_codes[at(row)][1..w - 1];
            for (j, code) in out.iter_mut().enumerate() {
                *code = up[j + 1] ^ up[j + 2] ^ mid[j] ^ mid[j + 1] ^ mid[j + 2] ^ down[j] ^ down[j + 1];
            }
            let sums = amounts[at(row)].iter().zip(&mid[..w]);
            for (amount, (&old, &code)) in next_amounts[at(row)].iter_mut().zip(sums) {
                *amount = old.wrapping_add(u16::from(code));
            }
        }
        self.codes.swap(0, 1);
        self.amounts.swap(0, 1);
    }

    /// Copies the state, three bytes a cell.
    pub fn copy(&mut self) {
        let [codes, next_codes] = &mut self.codes;
        let [amounts, next_amounts] = &mut self.amounts;
        next_codes.copy_from_slice(codes);
        next_amounts.copy_from_slice(amounts);
        std::hint::black_box((&next_codes[0], &next_amounts[0]));
    }

    /// A byte of the result, so that no step is optimised away.
    pub fn probe(&self) -> u8 {
        self.codes[0][self.width + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rival that computes something else would be no rival.
    #[test]
    fn the_neighbour_table_computes_the_same_world() {
        let world = crate::world(9, Some(1), 1);
        let mut rival = NeighbourTable::new(&world);
        for tick in 0..40 {
            rival.step(tick);
        }
        world.advance(40, || true).unwrap();
        let (_, kinds, amounts) = world.planes().unwrap();
        assert_eq!(rival.planes(), (kinds, amounts.as_slice()));
    }
}
