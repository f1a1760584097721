//! Reading all objects at once.

use std::sync::atomic::Ordering::Relaxed;

use super::layout::{ABSENT, DATA_BYTES};
use super::read::{object_len, part_data};
use super::{Card, Cards, ReadError, is_object, part_key, parts};
use crate::Corrupt;

/// Steps of probing for each card there is, on average, that no sound table needs.
const STEPS: u64 = 256;

impl Cards {
    /// Gives every object at published tick `tick` to `each`, in no order. For any reader: nothing is changed.
    ///
    /// # Errors
    ///
    /// [`Overtaken`](ReadError::Overtaken) if ticks go on meanwhile. As long as `tick` is the published one it never
    /// is, unless the writer is broken; if it is not any more when this returns, objects may be missing all the same.
    /// A broken writer may also have made an object come twice.
    pub fn scan(&self, tick: u64, mut each: impl FnMut(u64, &[u8])) -> Result<(), ReadError> {
        let mut steps = self.extents().map(|(_, extent)| extent.capacity() as u64 * STEPS).sum();
        let mut object = Vec::new();
        for (_, extent) in self.extents() {
            for slot in 0..extent.capacity() {
                let key = extent.key(slot).load(Relaxed);
                if !is_object(key) {
                    continue;
                }
                let first = extent.read(slot, tick)?;
                if first.head() == ABSENT {
                    continue;
                }
                let len = object_len(&first)?;
                if len <= DATA_BYTES {
                    each(key, &first.data()[..len]);
                    continue;
                }
                object.clear();
                object.extend_from_slice(first.data());
                for part in 1..parts(len) {
                    let key = part_key(key, part);
                    let card = self
                        .find_within(key, &mut steps)
                        .ok_or(Corrupt { what: "part of an object", found: key })?;
                    let more = self.part(card, tick)?;
                    object.extend_from_slice(part_data(&more, len - object.len())?);
                }
                each(key, &object);
            }
        }
        Ok(())
    }

    fn part(&self, card: Card, tick: u64) -> Result<super::layout::Payload, ReadError> {
        let (extent, slot) = self.extent(card);
        extent.read(slot, tick)
    }
}
