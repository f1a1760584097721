//! The beat: which rows act in a tick.

use crate::random::key;

/// True if `row` acts at `tick`. Every row acts exactly once in each run of `beat` ticks.
pub fn acts(seed: u64, beat: u16, row: u32, tick: u64) -> bool {
    slot(seed, beat, row, tick / u64::from(beat)) == tick % u64::from(beat)
}

/// The last tick before `tick` in which `row` acted, if there is one.
pub fn last(seed: u64, beat: u16, row: u32, tick: u64) -> Option<u64> {
    let acted = |beat_index| beat_index * u64::from(beat) + slot(seed, beat, row, beat_index);
    let now = tick / u64::from(beat);
    Some(acted(now)).filter(|&acted| acted < tick).or_else(|| now.checked_sub(1).map(acted))
}

fn slot(seed: u64, beat: u16, row: u32, beat_index: u64) -> u64 {
    key(seed, beat_index, u64::from(row), 1) % u64::from(beat)
}

/// The rows of one beat, sorted by the tick they act in.
#[derive(Debug, Default)]
pub struct Slots {
    beat_index: Option<u64>,
    rows: Vec<u32>,
    /// Start of each slot in `rows`, and the end.
    starts: Vec<u32>,
    slots: Vec<u8>,
}

impl Slots {
    /// The rows that act at `tick`, in order; drawn anew when a beat begins.
    pub fn acting(&mut self, seed: u64, beat: u16, rows: u32, tick: u64) -> &[u32] {
        let beat_index = tick / u64::from(beat);
        if self.beat_index != Some(beat_index) {
            self.draw(seed, beat, rows, beat_index);
        }
        let slot = (tick % u64::from(beat)) as usize;
        &self.rows[self.starts[slot] as usize..self.starts[slot + 1] as usize]
    }

    fn draw(&mut self, seed: u64, beat: u16, rows: u32, beat_index: u64) {
        self.slots.clear();
        self.slots.extend((0..rows).map(|row| slot(seed, beat, row, beat_index) as u8));
        self.starts.clear();
        self.starts.resize(usize::from(beat) + 1, 0);
        for &slot in &self.slots {
            self.starts[usize::from(slot) + 1] += 1;
        }
        for n in 1..self.starts.len() {
            self.starts[n] += self.starts[n - 1];
        }
        let mut next = self.starts.clone();
        self.rows.resize(rows as usize, 0);
        for (row, &slot) in self.slots.iter().enumerate() {
            let at = &mut next[usize::from(slot)];
            self.rows[*at as usize] = row as u32;
            *at += 1;
        }
        self.beat_index = Some(beat_index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_act_is_the_last() {
        for (beat, row) in [(1u16, 0), (2, 5), (16, 3), (256, 77)] {
            let mut last = None;
            for tick in 0..1000 {
                assert_eq!(super::last(9, beat, row, tick), last, "beat {beat}, tick {tick}");
                last = if acts(9, beat, row, tick) { Some(tick) } else { last };
            }
        }
    }

    #[test]
    fn every_row_acts_once_a_beat() {
        for beat in [1u16, 2, 16, 256] {
            let mut slots = Slots::default();
            let mut seen = [0u32; 322];
            for tick in 3 * u64::from(beat)..4 * u64::from(beat) {
                let acting = slots.acting(9, beat, 322, tick).to_vec();
                assert!(acting.is_sorted());
                for row in 0..322 {
                    assert_eq!(acting.contains(&row), acts(9, beat, row, tick));
                }
                acting.iter().for_each(|&row| seen[row as usize] += 1);
            }
            assert!(seen.iter().all(|&n| n == 1), "beat {beat}");
        }
    }
}
