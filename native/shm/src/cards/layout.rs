//! One extent: where what stands in it, and what its atomic words mean.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use crate::header::{self, HEADER_BYTES, Kind};
use crate::rows::ReadError;
use crate::{Corrupt, Segment};

use super::CardsError;

const LINE: usize = 64;
const CAPACITY_AT: usize = HEADER_BYTES;
const USED_AT: usize = 2 * LINE;
const KEYS_AT: usize = 3 * LINE;

/// Words of a version: its stamp, then the payload.
const WORDS: usize = 8;
const PAYLOAD_BYTES: usize = (WORDS - 1) * size_of::<u64>();
const HEAD_BYTES: usize = size_of::<u16>();
/// Bytes of an object in one card.
pub const DATA_BYTES: usize = PAYLOAD_BYTES - HEAD_BYTES;

/// The stamp of a version that is being written.
const INVALID: u64 = u64::MAX;
/// The stamp of a version that was written for a tick that never came.
const NEVER: u64 = u64::MAX - 1;
/// The head of a version that says that there is no object.
pub const ABSENT: u16 = 0;

/// The smallest and the greatest number of cards in an extent.
const CAPACITIES: std::ops::RangeInclusive<usize> = 8..=1 << 24;

/// One hash table.
#[derive(Debug)]
pub struct Extent {
    segment: Segment,
    capacity: usize,
}

/// Which version of a card, and the tick it became valid at.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    index: usize,
    pub stamp: u64,
}

/// A payload, copied out.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    bytes: [u8; PAYLOAD_BYTES],
    /// Bytes that count.
    len: usize,
}

impl Payload {
    pub fn new(head: u16, data: &[u8]) -> Self {
        let mut bytes = [0; PAYLOAD_BYTES];
        bytes[..HEAD_BYTES].copy_from_slice(&head.to_le_bytes());
        bytes[HEAD_BYTES..HEAD_BYTES + data.len()].copy_from_slice(data);
        Payload { bytes, len: HEAD_BYTES + data.len() }
    }

    pub fn head(&self) -> u16 {
        u16::from_le_bytes([self.bytes[0], self.bytes[1]])
    }

    pub fn data(&self) -> &[u8; DATA_BYTES] {
        self.bytes.last_chunk().expect("the head comes first")
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        let words = self.len.div_ceil(size_of::<u64>());
        self.bytes.as_chunks().0[..words].iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

impl Extent {
    fn bytes(capacity: usize) -> usize {
        Self::cards_at(capacity) + capacity * 2 * WORDS * size_of::<u64>()
    }

    fn cards_at(capacity: usize) -> usize {
        (KEYS_AT + capacity * size_of::<u64>()).next_multiple_of(2 * LINE)
    }

    /// An empty one, in memory that is shared or not. Zeros are an empty table.
    pub fn new(capacity: usize, shared: bool) -> Result<Self, CardsError> {
        let capacity = capacity
            .clamp(*CAPACITIES.start(), usize::MAX / 2)
            .checked_next_power_of_two()
            .filter(|capacity| CAPACITIES.contains(capacity))
            .ok_or(CardsError::Capacity(capacity as u64))?;
        let bytes = Self::bytes(capacity);
        let segment =
            if shared { Segment::create(c"game_platform_cards", bytes)? } else { Segment::private(bytes)? };
        segment.words32(CAPACITY_AT, 1)?[0].store(capacity as u32, Relaxed);
        header::publish(&segment, Kind::Cards)?;
        Ok(Extent { segment, capacity })
    }

    /// One that another process made.
    pub fn open(segment: Segment) -> Result<Self, CardsError> {
        header::check(&segment, Kind::Cards)?;
        let capacity = segment.words32(CAPACITY_AT, 1)?[0].load(Relaxed) as usize;
        if !capacity.is_power_of_two() || !CAPACITIES.contains(&capacity) {
            return Err(CardsError::Capacity(capacity as u64));
        }
        segment.words64(0, Self::bytes(capacity) / size_of::<u64>())?;
        Ok(Extent { segment, capacity })
    }

    /// Whether the header is still what it was.
    pub fn check(&self) -> Result<(), Corrupt> {
        let broken = |found| Corrupt { what: "cards header", found };
        header::check(&self.segment, Kind::Cards).map_err(|_| broken(0))?;
        let capacity: &AtomicU32 = &self.segment.words32(CAPACITY_AT, 1).map_err(|_| broken(0))?[0];
        match capacity.load(Relaxed) {
            found if found as usize == self.capacity => Ok(()),
            found => Err(broken(u64::from(found))),
        }
    }

    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    pub fn is_shared(&self) -> bool {
        self.segment.fd().is_some()
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Most keys, so that a look-up ends soon.
    pub fn limit(&self) -> u64 {
        self.capacity as u64 / 4 * 3
    }

    fn words(&self, at: usize, count: usize) -> &[AtomicU64] {
        self.segment.words64(at, count).expect("the capacity was checked against the segment")
    }

    /// Keys that are not 0. The writer keeps it.
    pub fn used(&self) -> &AtomicU64 {
        &self.words(USED_AT, 1)[0]
    }

    /// The greatest tick since which an object was absent whose card went to another key.
    pub fn recycled(&self) -> &AtomicU64 {
        &self.words(USED_AT + 8, 1)[0]
    }

    pub fn keys(&self) -> &[AtomicU64] {
        self.words(KEYS_AT, self.capacity)
    }

    pub fn key(&self, slot: usize) -> &AtomicU64 {
        &self.keys()[slot]
    }

    fn pair(&self, slot: usize) -> &[AtomicU64] {
        self.words(Self::cards_at(self.capacity) + slot * 2 * WORDS * size_of::<u64>(), 2 * WORDS)
    }

    pub fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.capacity - 1)
    }

    pub fn before(&self, slot: usize) -> usize {
        slot.wrapping_sub(1) & (self.capacity - 1)
    }

    /// The slots in which `key` may be, in order.
    pub fn probe(&self, key: u64) -> impl Iterator<Item = usize> + use<> {
        let (mask, start) = (self.capacity - 1, hash(key) as usize);
        (0..self.capacity).map(move |step| start.wrapping_add(step) & mask)
    }

    fn load_stamps(&self, slot: usize) -> [u64; 2] {
        let pair = self.pair(slot);
        // Acquire pairs with the Release of the stamps in `store`.
        [pair[0].load(Acquire), pair[WORDS].load(Acquire)]
    }

    /// The version with the greatest stamp ≤ `tick`; if there is none, one with a later stamp.
    pub fn current(&self, slot: usize, tick: u64) -> Version {
        let [a, b] = self.load_stamps(slot);
        if a <= tick && (b > tick || b <= a) {
            Version { index: 0, stamp: a }
        } else {
            Version { index: 1, stamp: b }
        }
    }

    fn version(&self, slot: usize, version: Version) -> (&AtomicU64, &[AtomicU64]) {
        let words = &self.pair(slot)[version.index * WORDS..][..WORDS];
        (&words[0], &words[1..])
    }

    /// The head of a version, for the writer.
    pub fn head(&self, slot: usize, version: Version) -> u16 {
        self.version(slot, version).1[0].load(Relaxed) as u16
    }

    /// The payload that is current at `tick`.
    pub fn read(&self, slot: usize, tick: u64) -> Result<Payload, ReadError> {
        let version = self.current(slot, tick);
        if version.stamp > tick {
            return Err(ReadError::Overtaken);
        }
        let (stamp, words) = self.version(slot, version);
        let mut bytes = [0; PAYLOAD_BYTES];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.load(Relaxed).to_le_bytes();
        }
        // Pairs with the fence in `store`.
        fence(Acquire);
        if stamp.load(Relaxed) != version.stamp {
            return Err(ReadError::Overtaken);
        }
        let payload = Payload { bytes, len: PAYLOAD_BYTES };
        // Nothing is written at tick 0, and never two versions at one tick.
        let unwritten = version.stamp == 0;
        let twice = self.load_stamps(slot) == [version.stamp; 2];
        if if unwritten { payload.head() != ABSENT } else { twice } {
            return Err(Corrupt { what: "card stamp", found: version.stamp }.into());
        }
        Ok(payload)
    }

    /// Writes the version that is not current at `tick`, and stamps it `tick + 1`.
    pub fn store(&self, slot: usize, tick: u64, payload: &Payload) {
        let other = Version { index: 1 - self.current(slot, tick).index, stamp: tick + 1 };
        let (stamp, words) = self.version(slot, other);
        // Release: who sees this sees that the other version is newer than it was.
        stamp.store(INVALID, Release);
        // Pairs with the fence in `read`: who sees the new payload sees that the stamp has changed.
        fence(Release);
        for (word, value) in words.iter().zip(payload.words()) {
            word.store(value, Relaxed);
        }
        stamp.store(tick + 1, Release);
    }

    /// Whether the payload that is to be current at `tick + 1` is this one.
    pub fn holds(&self, slot: usize, tick: u64, payload: &Payload) -> bool {
        let latest = self.current(slot, tick + 1);
        let words = self.version(slot, latest).1;
        latest.stamp <= tick + 1 && words.iter().zip(payload.words()).all(|(a, b)| a.load(Relaxed) == b)
    }

    /// Since when the object of a card is absent, if that is so at `published` and nobody has taken the card
    /// since.
    pub fn absent_since(&self, slot: usize, published: u64) -> Option<u64> {
        let version = self.current(slot, published);
        let other = self.load_stamps(slot)[1 - version.index];
        let idle = version.stamp <= published && (other <= published || other == NEVER);
        (idle && self.head(slot, version) == ABSENT).then_some(version.stamp)
    }

    /// Gives an absent card to `key`, whose object is absent too, and stamps it so that nobody else takes it in
    /// this tick. Also what takes a card anew for the key that it has.
    pub fn take(&self, slot: usize, key: u64, published: u64) {
        let current = self.current(slot, published);
        let other = Version { index: 1 - current.index, stamp: INVALID };
        let (stamp, words) = self.version(slot, other);
        // What the card held before must be out of sight of who finds the new key.
        stamp.store(INVALID, Release);
        fence(Release);
        words[0].store(u64::from(ABSENT), Relaxed);
        if self.key(slot).load(Relaxed) != key {
            self.recycled().fetch_max(current.stamp, Relaxed);
            self.key(slot).store(key, Release);
        }
        stamp.store(published + 1, Release);
    }

    /// Makes a card as if it had never had a key. The one after it has none, so no way leads across it.
    pub fn clear(&self, slot: usize, absent_since: u64) {
        self.recycled().fetch_max(absent_since, Relaxed);
        // Release: who misses the key sees that it may have been here.
        self.key(slot).store(0, Release);
    }

    /// Forgets what was written for ticks after `published`.
    pub fn forget(&self, slot: usize, published: u64) -> Result<(), Corrupt> {
        let pair = self.pair(slot);
        for stamp in [&pair[0], &pair[WORDS]] {
            if stamp.load(Acquire) > published {
                stamp.store(NEVER, Release);
            }
        }
        match self.current(slot, published) {
            Version { stamp, .. } if stamp <= published => Ok(()),
            Version { stamp, .. } => Err(Corrupt { what: "card stamp", found: stamp }),
        }
    }
}

/// Spreads keys over the slots (the finaliser of MurmurHash3).
fn hash(key: u64) -> u64 {
    let key = (key ^ key >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let key = (key ^ key >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    key ^ key >> 33
}
