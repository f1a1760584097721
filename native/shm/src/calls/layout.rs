//! Where everything lies; the table is in the parent.

use std::sync::atomic::{AtomicU32, AtomicU64};

use super::{CallsError, REPLY_WORDS, REQUEST_WORDS};
use crate::bell::Bell;
use crate::bulk::Payload;
use crate::header::HEADER_BYTES;
use crate::slot::Slot;
use crate::sync::{Load32, Load64};
use crate::{Corrupt, Futex, Memory, OutOfBounds, Segment};

const LINE: usize = 64;
const PAGE: usize = 4096;
const SHAPE_AT: usize = HEADER_BYTES;
const RINGS_IN_USE_AT: usize = 2 * LINE;
const COMPLETION_HEAD_AT: usize = 3 * LINE;
const RINGS_AT: usize = 4 * LINE;
const SERVICE_BELL_AT: usize = LINE;
const WAITER_BELL_AT: usize = 2 * LINE;
const COUNTS_AT: usize = 3 * LINE;
const PROGRESS_AT: usize = 4 * LINE;
const HEADS_AT: usize = 5 * LINE;
const SLOT_BYTES: usize = 2 * LINE;
const WORD: usize = size_of::<u64>();

/// Most submission rings.
pub const MAX_RINGS: u32 = 1024;
/// Most slots, and most entries of a ring.
pub const MAX_SLOTS: u32 = 1 << 16;
/// Most blocks each way.
pub const MAX_BLOCKS: u32 = 1 << 12;
/// Most bytes of a block.
pub const MAX_BLOCK_BYTES: u32 = 1 << 24;

/// How many of what the call segments have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Submission rings, one for each thread that calls: 1…1024. Those never used cost nothing but memory.
    pub rings: u32,
    /// Entries of a submission ring, a power of two.
    pub entries: u32,
    /// Slots, so many calls may be under way: 1…65536.
    pub slots: u32,
    /// Blocks for payloads each way: 0…4096.
    pub blocks: u32,
    /// Bytes of a block, a multiple of 64: 64…16 MiB.
    pub block_bytes: u32,
}

impl Shape {
    pub(super) fn check(self) -> Result<Self, CallsError> {
        let Shape { rings, entries, slots, blocks, block_bytes } = self;
        let fits = (1..=MAX_RINGS).contains(&rings)
            && entries.is_power_of_two()
            && entries <= MAX_SLOTS
            && (1..=MAX_SLOTS).contains(&slots)
            && blocks <= MAX_BLOCKS
            && (LINE as u32..=MAX_BLOCK_BYTES).contains(&block_bytes)
            && block_bytes.is_multiple_of(LINE as u32);
        if fits { Ok(self) } else { Err(CallsError::Shape(self)) }
    }

    pub(super) fn numbers(self) -> [u32; 5] {
        [self.rings, self.entries, self.slots, self.blocks, self.block_bytes]
    }

    /// The shape that stands in the requests. Nothing else says it, so it is read once.
    pub(super) fn read(memory: &impl Memory) -> Result<Self, CallsError> {
        let words = memory.words32(SHAPE_AT, 5)?;
        let [rings, entries, slots, blocks, block_bytes] =
            [0, 1, 2, 3, 4].map(|n: usize| words[n].load(std::sync::atomic::Ordering::Relaxed));
        Shape { rings, entries, slots, blocks, block_bytes }.check()
    }

    pub(super) fn write(self, memory: &Segment) -> Result<(), OutOfBounds> {
        for (word, value) in memory.words32(SHAPE_AT, 5)?.iter().zip(self.numbers()) {
            word.store(value, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    }

    /// Entries of the completion ring: every slot fits.
    fn completions(self) -> u32 {
        self.slots.next_power_of_two()
    }

    /// Bytes of a tail and the entries behind it.
    fn queue_bytes(entries: u32) -> usize {
        LINE + (entries as usize * WORD).next_multiple_of(LINE)
    }

    fn requests_at(self) -> usize {
        RINGS_AT + self.rings as usize * Self::queue_bytes(self.entries)
    }

    fn request_blocks_at(self) -> usize {
        (self.requests_at() + self.slots as usize * LINE).next_multiple_of(PAGE)
    }

    fn completions_at(self) -> usize {
        HEADS_AT + self.rings as usize * LINE
    }

    fn slots_at(self) -> usize {
        self.completions_at() + Self::queue_bytes(self.completions())
    }

    fn reply_blocks_at(self) -> usize {
        (self.slots_at() + self.slots as usize * SLOT_BYTES).next_multiple_of(PAGE)
    }

    fn all_blocks(self) -> usize {
        self.blocks as usize * self.block_bytes as usize
    }

    /// Bytes of the requests' segment.
    pub fn request_bytes(self) -> usize {
        self.request_blocks_at() + self.all_blocks()
    }

    /// Bytes of the replies' segment.
    pub fn reply_bytes(self) -> usize {
        self.reply_blocks_at() + self.all_blocks()
    }

    /// A number below `limit` that the other side wrote.
    fn below(what: &'static str, found: u64, limit: u32) -> Result<u32, Corrupt> {
        u32::try_from(found).ok().filter(|&n| n < limit).ok_or(Corrupt { what, found })
    }

    /// A slot's number that the other side wrote.
    pub(super) fn slot(self, what: &'static str, found: u64) -> Result<u32, Corrupt> {
        Self::below(what, found, self.slots)
    }

    /// A block's number that the other side wrote.
    pub(super) fn block(self, found: u64) -> Result<u32, Corrupt> {
        Self::below("block", found, self.blocks)
    }
}

/// What the client alone writes, seen from either side.
#[derive(Debug)]
pub(super) struct Requests<M> {
    pub(super) memory: M,
    shape: Shape,
}

/// What the service writes, or both write.
#[derive(Debug)]
pub(super) struct Replies {
    pub(super) memory: Segment,
    shape: Shape,
}

const CHECKED: &str = "the shape was checked against the segment";

impl<M: Memory> Requests<M> {
    pub(super) fn new(memory: M, shape: Shape) -> Result<Self, OutOfBounds> {
        memory.words64(0, shape.request_bytes() / WORD)?;
        Ok(Requests { memory, shape })
    }

    fn word(&self, at: usize) -> &M::Word32 {
        &self.memory.words32(at, 1).expect(CHECKED)[0]
    }

    fn words(&self, at: usize, count: usize) -> &[M::Word64] {
        self.memory.words64(at, count).expect(CHECKED)
    }

    fn ring_at(&self, n: u32) -> usize {
        RINGS_AT + n as usize * Shape::queue_bytes(self.shape.entries)
    }

    pub(super) fn rings_in_use(&self) -> &M::Word32 {
        self.word(RINGS_IN_USE_AT)
    }

    pub(super) fn completion_head(&self) -> &M::Word32 {
        self.word(COMPLETION_HEAD_AT)
    }

    pub(super) fn tail(&self, ring: u32) -> &M::Word32 {
        self.word(self.ring_at(ring))
    }

    pub(super) fn entries(&self, ring: u32) -> &[M::Word64] {
        self.words(self.ring_at(ring) + LINE, self.shape.entries as usize)
    }

    /// Deadline, then the words.
    pub(super) fn request(&self, slot: u32) -> &[M::Word64] {
        self.words(self.shape.requests_at() + slot as usize * LINE, 1 + REQUEST_WORDS)
    }

    pub(super) fn block(&self, block: u32) -> &[M::Word64] {
        let bytes = self.shape.block_bytes as usize;
        self.words(self.shape.request_blocks_at() + block as usize * bytes, bytes / WORD)
    }
}

impl Replies {
    pub(super) fn new(memory: Segment, shape: Shape) -> Result<Self, OutOfBounds> {
        memory.words64(0, shape.reply_bytes() / WORD)?;
        Ok(Replies { memory, shape })
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        &self.memory.words32(at, 1).expect(CHECKED)[0]
    }

    fn words(&self, at: usize, count: usize) -> &[AtomicU64] {
        self.memory.words64(at, count).expect(CHECKED)
    }

    fn slot_at(&self, slot: u32) -> usize {
        self.shape.slots_at() + slot as usize * SLOT_BYTES
    }

    pub(super) fn service_bell(&self) -> Bell<'_, AtomicU32, Futex> {
        Bell::new(self.word(SERVICE_BELL_AT), &Futex)
    }

    pub(super) fn waiter_bell(&self) -> Bell<'_, AtomicU32, Futex> {
        Bell::new(self.word(WAITER_BELL_AT), &Futex)
    }

    /// Beat, taken, sleeps, spins won.
    pub(super) fn counts(&self) -> &[AtomicU64; 4] {
        self.words(COUNTS_AT, 4).try_into().expect("four of them")
    }

    pub(super) fn progress(&self) -> &AtomicU64 {
        &self.words(PROGRESS_AT, 1)[0]
    }

    pub(super) fn head(&self, ring: u32) -> &AtomicU32 {
        self.word(HEADS_AT + ring as usize * LINE)
    }

    pub(super) fn completion_tail(&self) -> &AtomicU32 {
        self.word(self.shape.completions_at())
    }

    pub(super) fn completions(&self) -> &[AtomicU64] {
        self.words(self.shape.completions_at() + LINE, self.shape.completions() as usize)
    }

    pub(super) fn slot(&self, slot: u32) -> Slot<'_, AtomicU32> {
        Slot::new(self.word(self.slot_at(slot)))
    }

    pub(super) fn reply(&self, slot: u32) -> &[AtomicU64] {
        self.words(self.slot_at(slot) + WORD, REPLY_WORDS)
    }

    pub(super) fn block(&self, block: u32) -> &[AtomicU64] {
        let bytes = self.shape.block_bytes as usize;
        self.words(self.shape.reply_blocks_at() + block as usize * bytes, bytes / WORD)
    }
}

/// The first `len` bytes of a block, where the other side wrote `len`.
pub(super) fn payload<W: Load64>(words: &[W], len: u64) -> Result<Payload<'_, W>, Corrupt> {
    let payload = usize::try_from(len).ok().and_then(|len| Payload::new(words, len));
    payload.ok_or(Corrupt { what: "bytes of a payload", found: len })
}
