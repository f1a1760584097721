//! A look over SQLite's write-ahead log before SQLite has it.
//!
//! SQLite takes the first frame that does not fit for the end of the log and forgets the rest without a word. After
//! a power cut that is right: each transaction is synced before the next begins, so only the last one can be torn.
//! But where an intact transaction follows a damaged frame, the disk has lost what was synced, and forgetting the
//! rest would lose what was acknowledged.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use thiserror::Error;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;
/// What a disk writes at once.
const SECTOR: u64 = 512;

/// Why the log must not be given to SQLite.
#[derive(Debug, Error)]
pub enum WalError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its header was synced before the first frame was written, and does not fit.
    #[error("the header (byte 0) is damaged, and frames follow it")]
    Header,
    /// A frame was lost that later transactions build on.
    #[error("frame {frame} (byte {offset}) is damaged, and intact transactions follow it")]
    Frame {
        /// Which, from 1.
        frame: u64,
        /// Where it begins.
        offset: u64,
    },
}

/// What is in an intact log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Examined {
    /// Frames up to the last whole transaction.
    pub frames: u64,
    /// Frames after that: of a transaction that a cut tore.
    pub torn: u64,
}

/// Examines a log; one that is not there is empty.
///
/// # Errors
///
/// If it cannot be read, or is damaged in a way that no power cut leaves behind.
pub fn examine(path: &Path) -> Result<Examined, WalError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Examined::default()),
        Err(error) => return Err(error.into()),
    };
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER];
    let read = fill(&mut file, &mut header)?;
    let Some((size, big_endian, sums)) = (read == HEADER).then(|| parse(&header)).flatten() else {
        // It fits in a sector, so a cut leaves the old one or the new one; and it is synced before frames follow.
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        return if rest.iter().all(|byte| *byte == 0) {
            Ok(Examined::default())
        } else {
            Err(WalError::Header)
        };
    };
    let salts = header[16..24].try_into().expect("8 bytes");
    let mut scan = Scan {
        salts,
        big_endian,
        sums: [sums; 2],
        number: 0,
        last_commit: 0,
        torn: 0,
        damaged: None,
        ended: false,
        after_end: false,
    };
    let mut frame = vec![0; FRAME_HEADER + size];
    while fill(&mut file, &mut frame)? == frame.len() {
        scan.take(&frame)?;
    }
    Ok(Examined { frames: scan.last_commit, torn: scan.torn })
}

/// Page size, order of the sums, and the sum that the first frame continues; none if the header does not fit.
fn parse(header: &[u8; HEADER]) -> Option<(usize, bool, (u32, u32))> {
    let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    let (magic, size) = (word(0), word(8));
    let big_endian = magic & 1 == 1;
    let sums = sum(big_endian, &header[..24], (0, 0));
    let fits = magic & !1 == MAGIC && size.is_power_of_two() && (512..=65_536).contains(&size);
    (fits && sums == (word(24), word(28))).then_some((size as usize, big_endian, sums))
}

/// The running sum of SQLite, over a multiple of 8 bytes.
fn sum(big_endian: bool, bytes: &[u8], (mut a, mut b): (u32, u32)) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let word = pair[at..at + 4].try_into().expect("4 bytes");
            if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        };
        a = a.wrapping_add(word(0)).wrapping_add(b);
        b = b.wrapping_add(word(4)).wrapping_add(a);
    }
    (a, b)
}

/// Reads until `buffer` is full or the file ends.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

struct Scan {
    salts: [u8; 8],
    big_endian: bool,
    /// The sums that the next frame may continue: of the frame before it, as its header has it, and as it is.
    sums: [(u32, u32); 2],
    number: u64,
    last_commit: u64,
    torn: u64,
    /// The first frame that does not fit.
    damaged: Option<WalError>,
    /// There is such a frame, and the last one says that it ends a transaction.
    ended: bool,
    /// There is the end of a transaction since then, and all frames after it fit.
    after_end: bool,
}

impl Scan {
    fn take(&mut self, frame: &[u8]) -> Result<(), WalError> {
        let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("4 bytes"));
        let offset = HEADER as u64 + self.number * frame.len() as u64;
        self.number += 1;
        // What an earlier round through the file left behind has other salts.
        let current = frame[8..16] == self.salts && word(0) != 0;
        let ends = word(4) != 0;
        let stored = (word(16), word(20));
        let continued =
            |from| sum(self.big_endian, &frame[FRAME_HEADER..], sum(self.big_endian, &frame[..8], from));
        let [from_header, from_content] = self.sums.map(continued);
        // SQLite goes by headers. That a frame continues what the last one really holds tells where that is damaged.
        let fits = current && from_header == stored;
        let continues = fits || (current && from_content == stored);
        self.sums = [stored, if from_content == stored { stored } else { from_header }];
        if self.damaged.is_none() && fits {
            if ends {
                (self.last_commit, self.torn) = (self.number, 0);
            } else {
                self.torn += 1;
            }
            return Ok(());
        }
        self.torn += u64::from(current);
        let damaged = self.damaged.get_or_insert(WalError::Frame { frame: self.number, offset });
        // What continues the end of a transaction was written when that had been synced.
        self.after_end = continues && (self.after_end || self.ended);
        if self.after_end && ends {
            return Err(std::mem::replace(damaged, WalError::Header));
        }
        // A header across two sectors can be half an old one, whose word about the end means nothing.
        self.ended = ends && offset % SECTOR + FRAME_HEADER as u64 <= SECTOR;
        Ok(())
    }
}

/// Where the first so many frames end.
pub(crate) fn end_of(frames: u64, page: u64) -> u64 {
    HEADER as u64 + frames * (FRAME_HEADER as u64 + page)
}
