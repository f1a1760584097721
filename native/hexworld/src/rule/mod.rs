//! The field rule: a row's next state from its own and its neighbours' present one.

mod isa;
mod scalar;
mod tables;

pub use isa::Isa;
pub use tables::Tables;

/// The code of a place that holds no cell: the missing sixth neighbour of a pentagon.
pub const WALL: u8 = 0x80;

/// What one row needs to act. Codes are padded: column `j` stands at index `j + 1`, so that index 0
/// is the neighbour to the west of the first cell and index `len + 1` the one east of the last.
#[derive(Debug, Clone, Copy)]
pub struct RowInput<'a> {
    /// Codes of row `i - 1`.
    pub up: &'a [u8],
    /// Codes of the row itself.
    pub mid: &'a [u8],
    /// Codes of row `i + 1`.
    pub down: &'a [u8],
    /// Amounts of the row itself, not padded.
    pub amounts: &'a [u16],
    /// `key(seed, tick, row, 0)`.
    pub key: u64,
}

/// Acts for a whole row of a diamond.
pub fn act_row(isa: Isa, tables: &Tables, input: RowInput<'_>, codes: &mut [u8], amounts: &mut [u16]) {
    match isa {
        Isa::Scalar => scalar::act_row(tables, input, codes, amounts),
    }
}

/// Acts for one cell with any neighbours: a pole.
pub fn act_cell(
    tables: &Tables,
    code: u8,
    amount: u16,
    around: impl IntoIterator<Item = u8>,
    key: u64,
) -> (u8, u16) {
    let counts = around.into_iter().map(|code| tables.counted(code)).sum();
    let (x, y) = crate::random::dice_pair(key, 0);
    tables.next(code, amount, counts, x as u8, y as u8)
}
