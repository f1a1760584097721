//! The machines of a world, each with its neighbours at hand, and which of them have something to do.
//!
//! A machine sleeps while nothing about it can change: it is woken when it or one of its six neighbours is *stirred*, for
//! the rest of this tick and for the next one. Sleeping is not part of the state: a machine that is awake for nothing
//! changes nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use shm::cards::Card;

use super::machine::{Machine, NOBODY};
use crate::topology::Sphere;

/// Cells and players are numbers that nobody can choose freely enough to make them collide: a multiplication is
/// enough.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

pub(crate) type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Who a cell belongs to, and who else may use it (0: nobody).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub owner: u32,
    pub grant: u32,
}

impl Owner {
    /// Whether `player` may use what is there.
    pub fn admits(self, player: u32) -> bool {
        self.owner == player || self.grant == player
    }
}

/// A machine where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub cell: u32,
    pub machine: Machine,
    pub owner: Owner,
    /// The cells around it, by side.
    pub around: [u32; 6],
    /// The machines on them, or [`NOBODY`].
    pub beside: [u32; 6],
    /// The side of each of those cells towards this one.
    pub back: [u8; 6],
    /// Its own cell is on fire.
    pub halted: bool,
    /// A cell beside it is.
    pub hot: bool,
    /// A dynamo that drives in this tick.
    pub on: bool,
    dirty: bool,
    /// Sides from which it is offered something in this tick.
    pub offered: u8,
    in_active: bool,
    in_next: bool,
    /// Where it is kept.
    pub card: Option<Card>,
}

/// All machines of a world.
#[derive(Debug, Default)]
pub(crate) struct Yard {
    spots: Vec<Option<Spot>>,
    vacant: Vec<u32>,
    /// Vacated in this tick: lists may still name them.
    vacated: Vec<u32>,
    at: ByNumber<u32, u32>,
    /// Machines to look at in this tick, and in the next.
    pub active: Vec<u32>,
    next: Vec<u32>,
    under_way: bool,
    dirty: Vec<u32>,
}

impl Yard {
    /// The machine on a cell.
    pub fn at(&self, cell: u32) -> Option<u32> {
        self.at.get(&cell).copied()
    }

    pub fn cells(&self) -> impl Iterator<Item = u32> + '_ {
        self.at.keys().copied()
    }

    #[inline]
    pub fn spot(&self, n: u32) -> &Spot {
        self.spots[n as usize].as_ref().expect("a machine that is listed stands")
    }

    #[inline]
    pub fn spot_mut(&mut self, n: u32) -> &mut Spot {
        self.spots[n as usize].as_mut().expect("a machine that is listed stands")
    }

    /// Sets a machine up; the cell has none, and six neighbours.
    pub fn put(&mut self, sphere: Sphere, cell: u32, machine: Machine, owner: Owner) -> u32 {
        let n = self.vacant.pop().unwrap_or_else(|| {
            self.spots.push(None);
            self.spots.len() as u32 - 1
        });
        let around: [u32; 6] = std::array::from_fn(|side| sphere.neighbour(cell, side as u8).unwrap_or(cell));
        let back = around.map(|other| sphere.side_towards(other, cell).unwrap_or(0));
        let beside = around.map(|other| self.at(other).unwrap_or(NOBODY));
        for side in 0..6 {
            if beside[side] != NOBODY {
                self.spot_mut(beside[side]).beside[usize::from(back[side])] = n;
            }
        }
        let (halted, hot) = (false, false);
        self.spots[n as usize] = Some(Spot {
            cell,
            machine,
            owner,
            around,
            beside,
            back,
            halted,
            hot,
            on: false,
            dirty: false,
            offered: 0,
            in_active: false,
            in_next: false,
            card: None,
        });
        self.at.insert(cell, n);
        n
    }

    /// Takes a machine away.
    pub fn take(&mut self, n: u32) -> Option<Spot> {
        let spot = self.spots[n as usize].take()?;
        self.at.remove(&spot.cell);
        for side in 0..6 {
            if spot.beside[side] != NOBODY {
                self.spot_mut(spot.beside[side]).beside[usize::from(spot.back[side])] = NOBODY;
            }
        }
        self.vacated.push(n);
        Some(spot)
    }

    /// Has a machine looked at in the rest of this tick and in the next one.
    #[inline]
    pub fn wake(&mut self, n: u32) {
        let under_way = self.under_way;
        let spot = self.spot_mut(n);
        let (now, then) = (under_way && !spot.in_active, !spot.in_next);
        spot.in_active |= now;
        spot.in_next = true;
        if now {
            self.active.push(n);
        }
        if then {
            self.next.push(n);
        }
    }

    /// Notes that a machine has changed in a way that its neighbours do not see.
    #[inline]
    pub fn touch(&mut self, n: u32) {
        let spot = self.spot_mut(n);
        if !spot.dirty {
            spot.dirty = true;
            self.dirty.push(n);
        }
        self.wake(n);
    }

    /// Notes that a machine has changed: its neighbours look at it again.
    pub fn stir(&mut self, n: u32) {
        self.touch(n);
        self.wake_around(n);
    }

    pub fn wake_around(&mut self, n: u32) {
        let beside = self.spot(n).beside;
        for other in beside {
            if other != NOBODY {
                self.wake(other);
            }
        }
    }

    /// Begins the phases of a tick: what was woken is active now.
    pub fn begin(&mut self) {
        self.under_way = true;
        self.active.clear();
        std::mem::swap(&mut self.active, &mut self.next);
        let spots = &mut self.spots;
        self.active.retain(|&n| match &mut spots[n as usize] {
            Some(spot) => {
                (spot.in_active, spot.in_next) = (true, false);
                true
            }
            None => false,
        });
    }

    /// Ends what machines do by themselves: whom they wake from now on is for the next tick.
    pub fn end(&mut self) {
        self.under_way = false;
        for n in 0..self.active.len() {
            let index = self.active[n];
            self.spot_mut(index).in_active = false;
        }
    }

    /// The machines that have changed in this tick, of which none is dirty then.
    pub fn take_dirty(&mut self) -> Vec<u32> {
        let mut dirty = std::mem::take(&mut self.dirty);
        let spots = &mut self.spots;
        dirty.retain(|&n| match &mut spots[n as usize] {
            Some(spot) => {
                spot.dirty = false;
                true
            }
            None => false,
        });
        // No list names them any more.
        self.vacant.append(&mut self.vacated);
        dirty
    }
}
