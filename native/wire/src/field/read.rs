//! Reading: nothing is believed that was not checked.

use thiserror::Error;

use super::grid::Grid;
use super::{CELL, DIFF, KEYFRAME, MAX_KIND, MAX_TICK, RUN, SINGLE, WHOLE};

/// Why bytes are no message of the field, or do not fit the planes they are to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FieldError {
    /// They do not begin like one.
    #[error("this is no diff and no keyframe: it begins otherwise than \"gpd1\" and \"gpk1\"")]
    Magic,
    /// It is of a world of another size.
    #[error("it is of frequency {0}, which has another number of cells than the planes")]
    Frequency(u32),
    /// It ends too early or too late, or names what is not there.
    #[error("it is malformed at byte {0}")]
    Malformed(usize),
}

/// Which of the two a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All that is known of the cells it names.
    Keyframe,
    /// What has changed.
    Diff,
}

/// A message whose header has been read.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Which of the two it is.
    pub kind: Kind,
    /// The rows of its world.
    pub grid: Grid,
    /// The earliest tick that it leads from.
    pub since: u64,
    /// The tick that its cells are of.
    pub tick: u64,
    bytes: &'a [u8],
}

/// A row of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its number.
    pub row: u32,
    /// What is told of it.
    pub cells: Cells<'a>,
}

/// Cells of a row. Amounts are little-endian, two bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells<'a> {
    /// Cells in a row, from a column on; a whole row begins at 0.
    Run {
        /// The column of the first.
        col: usize,
        /// A byte each.
        kinds: &'a [u8],
        /// Two bytes each.
        amounts: &'a [u8],
    },
    /// Single cells: column (u16), kind, amount (u16) each.
    Single(&'a [u8]),
}

impl<'a> Cells<'a> {
    /// Single cells as column, kind and the bytes of the amount; none of a run.
    pub fn singles(self) -> impl Iterator<Item = (usize, u8, [u8; 2])> + 'a {
        let cells = if let Cells::Single(cells) = self { cells } else { &[] };
        cells
            .chunks_exact(CELL)
            .map(|cell| (usize::from(u16::from_le_bytes([cell[0], cell[1]])), cell[2], [cell[3], cell[4]]))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], FieldError> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let taken = &self.bytes[self.at..end.ok_or(FieldError::Malformed(self.at))?];
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldError> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    fn u16(&mut self) -> Result<usize, FieldError> {
        Ok(u16::from_le_bytes(self.array()?).into())
    }

    fn u32(&mut self) -> Result<u32, FieldError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, FieldError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

impl<'a> Message<'a> {
    /// Reads the header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let mut reader = Reader { bytes, at: 0 };
        let kind = match reader.take(4) {
            Ok(magic) if magic == KEYFRAME => Kind::Keyframe,
            Ok(magic) if magic == DIFF => Kind::Diff,
            _ => return Err(FieldError::Magic),
        };
        let frequency = reader.u32()?;
        let grid = Grid::new(frequency).ok_or(FieldError::Frequency(frequency))?;
        let (since, tick) = (reader.u64()?, reader.u64()?);
        if since > tick || tick > MAX_TICK || (kind == Kind::Keyframe && since != tick) {
            return Err(FieldError::Malformed(8));
        }
        Ok(Message { kind, grid, since, tick, bytes })
    }

    /// Its rows, each checked as it comes. After an error nothing more comes.
    pub fn rows(self) -> Rows<'a> {
        let mut reader = Reader { bytes: self.bytes, at: super::ROWS_AT };
        let left = reader.u32();
        Rows { grid: self.grid, reader, left }
    }
}

/// The rows of a message.
pub struct Rows<'a> {
    grid: Grid,
    reader: Reader<'a>,
    left: Result<u32, FieldError>,
}

impl<'a> Rows<'a> {
    fn row(&mut self) -> Result<Row<'a>, FieldError> {
        let start = self.reader.at;
        let malformed = FieldError::Malformed(start);
        let row = self.reader.u32()?;
        if row >= self.grid.rows() {
            return Err(malformed);
        }
        let len = self.grid.row_len(row);
        let cells = match self.reader.array()? {
            [SINGLE] => {
                let count = self.reader.u16()?;
                let cells = Cells::Single(self.reader.take(CELL * count)?);
                if cells.singles().any(|(col, kind, _)| col >= len || kind > MAX_KIND) {
                    return Err(malformed);
                }
                cells
            }
            [form @ (WHOLE | RUN)] => {
                let (col, count) =
                    if form == WHOLE { (0, len) } else { (self.reader.u16()?, self.reader.u16()?) };
                if col + count > len {
                    return Err(malformed);
                }
                let kinds = self.reader.take(count)?;
                if kinds.iter().any(|&kind| kind > MAX_KIND) {
                    return Err(malformed);
                }
                Cells::Run { col, kinds, amounts: self.reader.take(2 * count)? }
            }
            _ => return Err(malformed),
        };
        Ok(Row { row, cells })
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, FieldError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match self.left {
            Ok(0) if self.reader.at == self.reader.bytes.len() => return None,
            Ok(0) => Err(FieldError::Malformed(self.reader.at)),
            Ok(left) => {
                self.left = Ok(left - 1);
                self.row()
            }
            Err(error) => Err(error),
        };
        if row.is_err() {
            self.left = Ok(0);
            self.reader.at = self.reader.bytes.len();
        }
        Some(row)
    }
}

/// Changes planes in id order (amounts as little-endian u16) as a message says, and returns the tick that its cells
/// are of. On an error they may be changed in part.
pub fn patch(kinds: &mut [u8], amounts: &mut [u8], message: &[u8]) -> Result<u64, FieldError> {
    let message = Message::parse(message)?;
    let grid = message.grid;
    if grid.cells() != kinds.len() || amounts.len() != 2 * kinds.len() {
        return Err(FieldError::Frequency(grid.frequency()));
    }
    for row in message.rows() {
        let Row { row, cells } = row?;
        let first = grid.first_cell(row);
        match cells {
            Cells::Run { col, kinds: told, amounts: told_amounts } => {
                let at = first + col;
                kinds[at..at + told.len()].copy_from_slice(told);
                amounts[2 * at..2 * (at + told.len())].copy_from_slice(told_amounts);
            }
            Cells::Single(_) => {
                for (col, kind, amount) in cells.singles() {
                    let at = first + col;
                    kinds[at] = kind;
                    amounts[2 * at..2 * at + 2].copy_from_slice(&amount);
                }
            }
        }
    }
    Ok(message.tick)
}
