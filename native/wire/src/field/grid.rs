//! Where rows and chunks lie, as in `hexworld`'s topology (a test there compares them).

/// The side of a chunk in cells.
pub const CHUNK_SIDE: u32 = 64;
/// The greatest frequency of a world.
pub const MAX_FREQUENCY: u32 = 4096;

/// The rows of a world of one frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    f: u32,
}

impl Grid {
    /// None if there is no world of that frequency.
    pub fn new(frequency: u32) -> Option<Grid> {
        (1..=MAX_FREQUENCY).contains(&frequency).then_some(Grid { f: frequency })
    }

    /// Pieces that an edge of the icosahedron is cut in.
    pub fn frequency(self) -> u32 {
        self.f
    }

    /// How many cells there are.
    pub fn cells(self) -> usize {
        10 * (self.f * self.f) as usize + 2
    }

    /// How many rows there are.
    pub fn rows(self) -> u32 {
        10 * self.f + 2
    }

    /// How many cells a row has.
    pub fn row_len(self, row: u32) -> usize {
        if row < 10 * self.f { self.f as usize } else { 1 }
    }

    /// The id of a row's first cell.
    pub fn first_cell(self, row: u32) -> usize {
        let in_diamonds = row.min(10 * self.f);
        (in_diamonds * self.f + (row - in_diamonds)) as usize
    }

    /// How many chunks there are, the poles among them.
    pub fn chunks(self) -> u32 {
        10 * self.side() * self.side() + 2
    }

    /// The chunk of a cell.
    pub fn chunk_of(self, row: u32, col: usize) -> u32 {
        let (f, n) = (self.f, self.side());
        match row.checked_sub(10 * f) {
            Some(pole) => 10 * n * n + pole,
            None => (row / f * n + row % f / CHUNK_SIDE) * n + col as u32 / CHUNK_SIDE,
        }
    }

    /// The rows and the columns of a chunk; none if there is no such chunk.
    pub fn window(self, chunk: u32) -> Option<(std::ops::Range<u32>, std::ops::Range<usize>)> {
        let (f, n) = (self.f, self.side());
        if chunk >= self.chunks() {
            return None;
        }
        if let Some(pole) = chunk.checked_sub(10 * n * n) {
            return Some((10 * f + pole..10 * f + pole + 1, 0..1));
        }
        let (diamond, down, across) = (chunk / (n * n), chunk / n % n, chunk % n);
        let span = |start: u32| start..(start + CHUNK_SIDE).min(f);
        let (down, across) = (span(down * CHUNK_SIDE), span(across * CHUNK_SIDE));
        Some((diamond * f + down.start..diamond * f + down.end, across.start as usize..across.end as usize))
    }

    /// Chunks along a side of a diamond.
    fn side(self) -> u32 {
        self.f.div_ceil(CHUNK_SIDE)
    }
}
