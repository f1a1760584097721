//! The machines of a world, each with its neighbours at hand, and which of them have something to do.
//!
//! A machine sleeps while nothing about it can change: it is woken when it or one of its six neighbours is *stirred*, for
//! the rest of this tick and for the next one. Sleeping is not part of the state: a machine that is awake for nothing
//! changes nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use shm::cards::Card;

use super::bits::Bits;
use super::machine::{Machine, NOBODY, State};
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
    /// Sides from which it is offered something in this tick.
    pub offered: u8,
    /// Where it is kept.
    pub card: Option<Card>,
}

/// All machines of a world.
#[derive(Debug, Default)]
pub(crate) struct Yard {
    spots: Vec<Option<Spot>>,
    vacant: Vec<u32>,
    at: ByNumber<u32, u32>,
    roles: Vec<Role>,
    /// Machines to look at in this tick, in no order that matters, and those to look at in the next.
    pub active: Vec<u32>,
    is_active: Bits,
    next: Bits,
    under_way: bool,
    dirty: Bits,
    /// Those that found nothing in the field.
    waits: Bits,
}

/// What the phases ask a machine for: told here, since most are asked in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Craft,
    Drive,
    Other,
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
            self.roles.push(Role::Other);
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
        self.roles[n as usize] = match machine.state {
            State::Craft(_) => Role::Craft,
            State::Drive(_) => Role::Drive,
            _ => Role::Other,
        };
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
            offered: 0,
            card: None,
        });
        self.at.insert(cell, n);
        n
    }

    #[inline]
    pub fn role(&self, n: u32) -> Role {
        self.roles[n as usize]
    }

    /// Whether a machine is to look again when the field around it changes.
    pub fn waits(&self, n: u32) -> bool {
        self.waits.has(n)
    }

    pub fn set_waits(&mut self, n: u32, waits: bool) {
        if waits {
            self.waits.add(n);
        } else {
            self.waits.remove(n);
        }
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
        for bits in [&mut self.is_active, &mut self.next, &mut self.dirty, &mut self.waits] {
            bits.remove(n);
        }
        self.vacant.push(n);
        Some(spot)
    }

    /// Has a machine looked at in the rest of this tick and in the next one.
    #[inline]
    pub fn wake(&mut self, n: u32) {
        self.next.add(n);
        if self.under_way && self.is_active.add(n) {
            self.active.push(n);
        }
    }

    /// Notes that a machine has changed in a way that its neighbours do not see.
    #[inline]
    pub fn touch(&mut self, n: u32) {
        self.dirty.add(n);
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
        std::mem::swap(&mut self.is_active, &mut self.next);
        self.next.clear();
        self.is_active.list(&mut self.active);
    }

    /// Ends what machines do by themselves: whom they wake from now on is for the next tick.
    pub fn end(&mut self) {
        self.under_way = false;
    }

    /// The machines that have changed in this tick, of which none is dirty then.
    pub fn take_dirty(&mut self) -> Vec<u32> {
        let mut dirty = Vec::new();
        self.dirty.list(&mut dirty);
        self.dirty.clear();
        dirty
    }
}
