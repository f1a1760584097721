//! Reading a world while it ticks, in this process or in another. What was written by another process is
//! checked: the kinds are known and the amounts fit them.

use std::sync::PoisonError;
use std::time::Duration;

use shm::rows::{Cells, Pin};

use crate::error::ReadError;
use crate::topology::Site;
use crate::world::World;

/// How often a read of cells takes the published tick anew.
const READ_TRIES: usize = 64;
/// How often a long read pins anew, and for how long.
const PIN_TRIES: usize = 4;
pub(crate) const PIN_LEASE: Duration = Duration::from_secs(5);

impl World {
    /// Kind and amount of `ids`, all at one published tick, which comes first. Never waits for a tick.
    pub fn cells(&self, ids: &[u32]) -> Result<(u64, Vec<(u8, u16)>), ReadError> {
        if let Some(&id) = ids.iter().find(|&&id| id >= self.sphere().cells()) {
            return Err(ReadError::NoSuchCell(id));
        }
        let mut fault = ReadError::Busy;
        for _ in 0..READ_TRIES {
            let tick = self.tick()?;
            match ids.iter().map(|&id| self.cell_at(id, tick)).collect() {
                Ok(cells) => return Ok((tick, cells)),
                Err(error) => fault = error,
            }
            std::thread::yield_now();
        }
        Err(fault)
    }

    pub(crate) fn cell_at(&self, id: u32, tick: u64) -> Result<(u8, u16), ReadError> {
        let Site { row, col } = self.sphere().site(id);
        match self.rows.read_cell(row, tick, col) {
            Ok((version, code, amount)) if self.is_stamp(row, tick, version.stamp) => {
                Ok((self.kind(code, amount)?, amount))
            }
            _ => Err(self.fault(row)),
        }
    }

    /// Copies a row as it is at the pinned tick.
    pub(crate) fn read_pinned(&self, pin: &Pin<'_>, row: u32, cells: &mut Cells) -> Result<(), ReadError> {
        match pin.read(row, cells) {
            // The copy in the side buffer does not say since when.
            Ok(version) if version.is_none_or(|version| self.is_stamp(row, pin.tick, version.stamp)) => {
                Ok(())
            }
            _ => Err(self.fault(row)),
        }
    }

    /// Runs `read` with a pinned tick, again if the pin breaks, while the world may tick on in this or
    /// another process.
    pub(crate) fn pinned<T>(&self, read: impl Fn(&Pin<'_>) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let _one = self.long_read.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..PIN_TRIES {
            let pin = self.rows.pin(PIN_LEASE)?;
            match read(&pin) {
                Err(ReadError::Busy) => {}
                other => return other,
            }
        }
        Err(ReadError::Busy)
    }

    /// Kinds and amounts of all cells in id order, and the tick they are of. Never waits for a tick.
    pub fn planes(&self) -> Result<(u64, Vec<u8>, Vec<u16>), ReadError> {
        self.pinned(|pin| {
            let cells = self.sphere().cells() as usize;
            let (mut kinds, mut amounts) = (Vec::with_capacity(cells), Vec::with_capacity(cells));
            let mut cells = Cells::default();
            for row in 0..self.sphere().rows() {
                self.read_pinned(pin, row, &mut cells)?;
                for kind in self.kinds(&cells) {
                    kinds.push(kind?);
                }
                amounts.extend_from_slice(&cells.amounts);
            }
            Ok((pin.tick, kinds, amounts))
        })
    }
}
