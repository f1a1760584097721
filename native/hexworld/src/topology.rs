//! The sphere's cells, their numbers and who lies beside whom.
//!
//! An icosahedron whose edges are cut in `f` pieces ("frequency") has `10·f² + 2` cells: 12
//! pentagons and hexagons otherwise. They are kept as ten diamonds of `f × f` cells and two poles.
//! Diamonds 0–4 are the northern N₀…N₄, 5–9 the southern S₀…S₄. A diamond owns the columns
//! `j = 0..f-1` of the rows `i = 1..f`; the cell `(d, i, j)` has the id `d·f² + (i-1)·f + j`, the
//! north pole `10f²`, the south pole `10f² + 1`.
//!
//! Directions turn left: 0 `(i, j+1)`, 1 `(i-1, j+1)`, 2 `(i-1, j)`, 3 `(i, j-1)`, 4 `(i+1, j-1)`,
//! 5 `(i+1, j)`. Across a seam the far cell's own numbering holds: ask [`Sphere::side_towards`] for
//! the way back, never `direction + 3`.

use std::collections::{BTreeSet, HashSet};

use thiserror::Error;

/// The greatest frequency: 167,772,162 cells.
pub const MAX_FREQUENCY: u32 = 4096;

/// The side of a chunk in cells: a chunk is a window of at most 64 × 64 cells of one diamond.
///
/// The part of a row inside a chunk is a *tile*, so a whole chunk is 64 tiles of 64 cells.
pub const CHUNK_SIDE: u32 = 64;

/// Offsets `(di, dj)` of the six directions.
pub const DIRECTIONS: [(i32, i32); 6] = [(0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1), (1, 0)];

/// Why a sphere cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SphereError {
    /// The frequency is not in `1..=4096`.
    #[error("frequency {0} is not in 1..={MAX_FREQUENCY}")]
    Frequency(u32),
}

/// A cell by row and column. A diamond's row `(d, i)` is number `d·f + (i-1)` and holds `f` cells;
/// the poles are the rows `10f` and `10f + 1` of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// Row number, `0..10f+2`.
    pub row: u32,
    /// Column in the row.
    pub col: u32,
}

/// A window of cells that is digested, stored and watched as one: rows `i`, columns `j` of a
/// diamond, or a pole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// First row number.
    pub row: u32,
    /// Rows it spans.
    pub rows: u32,
    /// First column.
    pub col: u32,
    /// Columns it spans.
    pub cols: u32,
}

/// The topology of a sphere of one frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sphere {
    f: u32,
}

impl Sphere {
    /// The sphere of frequency `f`.
    ///
    /// ```
    /// let sphere = hexworld::Sphere::new(24)?;
    /// assert_eq!(sphere.cells(), 5762);
    /// # Ok::<(), hexworld::SphereError>(())
    /// ```
    pub fn new(f: u32) -> Result<Self, SphereError> {
        if (1..=MAX_FREQUENCY).contains(&f) { Ok(Self { f }) } else { Err(SphereError::Frequency(f)) }
    }

    /// Pieces an icosahedron edge is cut in.
    pub fn frequency(&self) -> u32 {
        self.f
    }

    /// Number of cells, `10·f² + 2`.
    pub fn cells(&self) -> u32 {
        10 * self.f * self.f + 2
    }

    /// Number of rows, the two poles included.
    pub fn rows(&self) -> u32 {
        10 * self.f + 2
    }

    /// Cells in a row: `f`, or 1 at a pole.
    pub fn row_len(&self, row: u32) -> u32 {
        if row < 10 * self.f { self.f } else { 1 }
    }

    /// Where a cell is stored. `cell` must be `< cells()`.
    pub fn site(&self, cell: u32) -> Site {
        let diamonds = 10 * self.f * self.f;
        if cell < diamonds {
            Site { row: cell / self.f, col: cell % self.f }
        } else {
            Site { row: 10 * self.f + (cell - diamonds), col: 0 }
        }
    }

    /// The id of the cell at a site.
    pub fn cell(&self, site: Site) -> u32 {
        if site.row < 10 * self.f {
            site.row * self.f + site.col
        } else {
            10 * self.f * self.f + (site.row - 10 * self.f)
        }
    }

    /// The site of `(d, i, j)` with `i` in `0..=f+1` and `j` in `-1..=f`: inside the diamond or in
    /// the ring of foreign cells around it. `None` for `(f+1, -1)`, where the pentagon `(f, 0)` would
    /// have a sixth neighbour, and for `(0, -1)` and `(f+1, f)`, which no cell touches.
    pub fn resolve(&self, d: u32, i: i32, j: i32) -> Option<Site> {
        let f = self.f as i32;
        let k = d % 5;
        let at = |diamond: u32, i: i32, j: i32| {
            Some(Site { row: diamond * self.f + (i - 1) as u32, col: j as u32 })
        };
        let north = |k: u32, i, j| at(k % 5, i, j);
        let south = |k: u32, i, j| at(5 + k % 5, i, j);
        let pole = |n: u32| Some(Site { row: 10 * self.f + n, col: 0 });

        if (1..=f).contains(&i) && (0..f).contains(&j) {
            return at(d, i, j);
        }
        if j < 0 && i == 0 || i == f + 1 && (j < 0 || j == f) {
            return None;
        }
        if d < 5 {
            match (i, j) {
                (0, 0) => pole(0),
                (0, _) => north(k + 1, j, 0),
                (_, -1) => north(k + 4, 1, i - 1),
                _ if i > f => south(k + 4, 1, j),
                _ => south(k, i, 0),
            }
        } else {
            match (i, j) {
                (0, _) if j == f => south(k + 1, f, 0),
                (0, _) => north(k + 1, f, j),
                (_, -1) => north(k, i, f - 1),
                _ if i > f => south(k + 4, j + 1, f - 1),
                _ if i == f => pole(1),
                _ => south(k + 1, f, i),
            }
        }
    }

    /// The neighbour of `cell` in `direction` (0..=5); `None` for a pentagon's missing side.
    pub fn neighbour(&self, cell: u32, direction: u8) -> Option<u32> {
        let (f, site) = (self.f, self.site(cell));
        let found = if site.row < 10 * f {
            let (di, dj) = *DIRECTIONS.get(usize::from(direction))?;
            self.resolve(site.row / f, (site.row % f + 1) as i32 + di, site.col as i32 + dj)?
        } else {
            if direction > 4 {
                return None;
            }
            // A left turn is eastward around the north pole and westward around the south pole.
            let k = u32::from(direction);
            if site.row == 10 * f {
                Site { row: k * f, col: 0 }
            } else {
                Site { row: (5 + (5 - k) % 5) * f + f - 1, col: f - 1 }
            }
        };
        Some(self.cell(found))
    }

    /// The neighbours of `cell` in order of direction: six, or five at a pentagon.
    pub fn neighbours(&self, cell: u32) -> impl Iterator<Item = u32> + '_ {
        (0..6).filter_map(move |direction| self.neighbour(cell, direction))
    }

    /// The direction in which `cell` sees its neighbour `other`; `None` if they do not touch.
    pub fn side_towards(&self, cell: u32, other: u32) -> Option<u8> {
        (0..6).find(|&direction| self.neighbour(cell, direction) == Some(other))
    }

    /// Number of chunks, each pole one of its own.
    pub fn chunks(&self) -> u32 {
        let n = self.f.div_ceil(CHUNK_SIDE);
        10 * n * n + 2
    }

    /// The cells of a chunk. Chunks are numbered by diamond, then by rows, then by columns; the
    /// poles come last. `chunk` must be `< chunks()`.
    pub fn chunk(&self, chunk: u32) -> Chunk {
        let n = self.f.div_ceil(CHUNK_SIDE);
        if chunk >= 10 * n * n {
            return Chunk { row: 10 * self.f + (chunk - 10 * n * n), rows: 1, col: 0, cols: 1 };
        }
        let (d, down, across) = (chunk / (n * n), chunk / n % n, chunk % n);
        let span = |start: u32| CHUNK_SIDE.min(self.f - start);
        let (top, left) = (down * CHUNK_SIDE, across * CHUNK_SIDE);
        Chunk { row: d * self.f + top, rows: span(top), col: left, cols: span(left) }
    }

    /// The chunks that have a cell at most `radius` steps from `cell`, in order of number.
    pub fn chunks_around(&self, cell: u32, radius: u32) -> Vec<u32> {
        let (mut seen, mut chunks) = (HashSet::from([cell]), BTreeSet::from([self.chunk_of(cell)]));
        let mut ring = vec![cell];
        for _ in 0..radius {
            let next: Vec<u32> = ring
                .iter()
                .flat_map(|&cell| self.neighbours(cell))
                .filter(|&cell| seen.insert(cell))
                .collect();
            chunks.extend(next.iter().map(|&cell| self.chunk_of(cell)));
            if next.is_empty() || chunks.len() as u32 == self.chunks() {
                break;
            }
            ring = next;
        }
        chunks.into_iter().collect()
    }

    /// The chunk that holds a cell.
    pub fn chunk_of(&self, cell: u32) -> u32 {
        let (f, n, site) = (self.f, self.f.div_ceil(CHUNK_SIDE), self.site(cell));
        if site.row >= 10 * f {
            return 10 * n * n + (site.row - 10 * f);
        }
        (site.row / f * n + site.row % f / CHUNK_SIDE) * n + site.col / CHUNK_SIDE
    }
}
