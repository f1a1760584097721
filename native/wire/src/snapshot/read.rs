//! Reading: nothing is believed that was not checked.

use super::error::{Fault, Place, SnapshotError};
use super::{
    CHECK, HEADER, Header, Kind, MAGIC, MAX_OBJECT_SECTIONS, MAX_OBJECTS, MAX_RULESET, Objects, SECTION,
    VERSION, check_of, section_check,
};
use crate::field::{Grid, MAX_TICK};

/// A section whose check fits, still packed.
#[derive(Debug, Clone, Copy)]
struct Section<'a> {
    place: Place,
    at: usize,
    raw_len: usize,
    packed: &'a [u8],
}

/// The cells of a chunk in id order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    raw: Vec<u8>,
}

impl Field {
    /// A byte each.
    pub fn kinds(&self) -> &[u8] {
        &self.raw[..self.raw.len() / 3]
    }

    /// Two bytes each, little-endian.
    pub fn amounts(&self) -> &[u8] {
        &self.raw[self.raw.len() / 3..]
    }

    /// Kind and amount of each cell.
    pub fn cells(&self) -> impl Iterator<Item = (u8, u16)> + '_ {
        let amounts = self.amounts().as_chunks().0.iter().map(|amount| u16::from_le_bytes(*amount));
        self.kinds().iter().copied().zip(amounts)
    }
}

/// A snapshot in which every check fits. What is packed is looked at when it is asked for.
#[derive(Debug, Clone)]
pub struct Snapshot<'a> {
    /// What it is of.
    pub header: Header,
    /// Where chunks lie.
    pub grid: Grid,
    /// The text of the ruleset.
    pub ruleset: String,
    field: Vec<Section<'a>>,
    objects: Vec<Section<'a>>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    place: Place,
}

impl<'a> Reader<'a> {
    fn error(&self, at: usize, fault: Fault) -> SnapshotError {
        SnapshotError { place: self.place, at, fault }
    }

    fn take(&mut self, needed: usize) -> Result<&'a [u8], SnapshotError> {
        let left = &self.bytes[self.at..];
        let Some(taken) = left.get(..needed) else {
            return Err(self.error(self.at, Fault::Short { needed, found: left.len() }));
        };
        self.at += needed;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    fn u16(&mut self) -> Result<u16, SnapshotError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The header, its grid and the number of sections.
    fn header(&mut self) -> Result<(Header, Grid, u32), SnapshotError> {
        let magic = self.bytes.len().min(MAGIC.len());
        if self.bytes[..magic] != MAGIC[..magic] {
            return Err(self.error(0, Fault::Magic));
        }
        self.take(MAGIC.len())?;
        // First of all: a later version may have another header.
        match self.u16()? {
            VERSION => {}
            0 => return Err(self.error(4, Fault::Word("the version", 0))),
            newer => return Err(self.error(4, Fault::Newer(newer))),
        }
        let flags = self.u16()?;
        let frequency = self.u32()?;
        let (tick, seed) = (self.u64()?, self.u64()?);
        let (ruleset_hash, digest) = (self.array()?, self.array()?);
        let sections = self.u32()?;
        if self.array()? != check_of(&blake3::hash(&self.bytes[..HEADER])) {
            return Err(self.error(HEADER, Fault::Check));
        }
        if flags != 0 {
            return Err(self.error(6, Fault::Word("a flag", flags.into())));
        }
        let grid = Grid::new(frequency)
            .ok_or_else(|| self.error(8, Fault::Word("the frequency", frequency.into())))?;
        if tick > MAX_TICK {
            return Err(self.error(12, Fault::Word("the tick", tick)));
        }
        let least = grid.chunks() + 2;
        if !(least..=least + MAX_OBJECT_SECTIONS).contains(&sections) {
            return Err(self.error(HEADER - 4, Fault::Sections { found: sections, least }));
        }
        Ok((Header { frequency, tick, seed, ruleset_hash, digest }, grid, sections))
    }

    /// The section that must come, if its check fits.
    fn section(&mut self, key: &[u8; 32], place: Place) -> Result<Section<'a>, SnapshotError> {
        self.place = place;
        let at = self.at;
        let [kind] = self.array()?;
        let (number, raw_len, packed_len) = (self.u32()?, self.u32()?, self.u32()?);
        let check: [u8; CHECK] = self.array()?;
        let packed = self.take(packed_len as usize)?;
        if section_check(key, kind, number, raw_len, packed) != check {
            return Err(self.error(at, Fault::Check));
        }
        match place {
            Place::Section(_, wanted, its) if kind == wanted as u8 && number == its => {}
            _ => return Err(self.error(at, Fault::Order { kind, number })),
        }
        let raw_len = raw_len as usize;
        if packed.len() > raw_len {
            return Err(self.error(at, Fault::Length { found: packed.len(), expected: raw_len }));
        }
        Ok(Section { place, at, raw_len, packed })
    }
}

impl Section<'_> {
    fn error(&self, fault: Fault) -> SnapshotError {
        SnapshotError { place: self.place, at: self.at, fault }
    }

    fn bounded(self, expected: usize, exactly: bool) -> Result<Self, SnapshotError> {
        if self.raw_len > expected || (exactly && self.raw_len != expected) {
            return Err(self.error(Fault::Length { found: self.raw_len, expected }));
        }
        Ok(self)
    }

    /// The content; its length has been bounded.
    fn unpack(&self) -> Result<Vec<u8>, SnapshotError> {
        if self.packed.len() == self.raw_len {
            return Ok(self.packed.to_vec());
        }
        let mut raw = vec![0; self.raw_len];
        match lz4_flex::block::decompress_into(self.packed, &mut raw) {
            Ok(len) if len == self.raw_len => Ok(raw),
            Ok(len) => Err(self.error(Fault::Length { found: len, expected: self.raw_len })),
            Err(error) => Err(self.error(Fault::Packed(error.to_string()))),
        }
    }
}

impl<'a> Snapshot<'a> {
    /// Reads the header, finds the sections and compares every check.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with the section and the byte.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader { bytes, at: 0, place: Place::Header };
        let (header, grid, sections) = reader.header()?;
        // So many bytes there must be: what is kept of the sections is in proportion to the input.
        let needed = SECTION * sections as usize;
        let left = bytes.len() - reader.at;
        if left < needed {
            return Err(reader.error(reader.at, Fault::Short { needed, found: left }));
        }
        let key = *blake3::hash(&bytes[..HEADER + CHECK]).as_bytes();
        let (chunks, ends) = (grid.chunks(), sections - 1);
        let ruleset =
            reader.section(&key, Place::Section(0, Kind::Ruleset, 0))?.bounded(MAX_RULESET, false)?;
        let text = String::from_utf8(ruleset.unpack()?)
            .map_err(|error| ruleset.error(Fault::Text(error.utf8_error().valid_up_to())))?;
        let mut field = Vec::with_capacity(chunks as usize);
        for chunk in 0..chunks {
            let section = reader.section(&key, Place::Section(1 + chunk, Kind::Field, chunk))?;
            field.push(section.bounded(3 * chunk_cells(grid, chunk), true)?);
        }
        let mut objects = Vec::with_capacity((ends - chunks - 1) as usize);
        for n in 1 + chunks..ends {
            let section = reader.section(&key, Place::Section(n, Kind::Objects, n - 1 - chunks))?;
            if section.raw_len == 0 {
                return Err(section.error(Fault::Length { found: 0, expected: MAX_OBJECTS }));
            }
            objects.push(section.bounded(MAX_OBJECTS, false)?);
        }
        reader.section(&key, Place::Section(ends, Kind::End, 0))?.bounded(0, true)?;
        reader.place = Place::After;
        match bytes.len() - reader.at {
            0 => Ok(Snapshot { header, grid, ruleset: text, field, objects }),
            more => Err(reader.error(reader.at, Fault::Long(more))),
        }
    }

    /// How many sections there are, the end among them.
    pub fn sections(&self) -> usize {
        2 + self.field.len() + self.objects.len()
    }

    /// The cells of a chunk, which must exist.
    ///
    /// # Errors
    ///
    /// Content that is not what it says, or a kind above 7.
    pub fn field(&self, chunk: u32) -> Result<Field, SnapshotError> {
        let section = &self.field[chunk as usize];
        let field = Field { raw: section.unpack()? };
        match field.kinds().iter().position(|&kind| kind > 7) {
            Some(cell) => Err(section.error(Fault::Cell(cell, field.kinds()[cell]))),
            None => Ok(field),
        }
    }

    /// Gives every object to `each`, ascending by key.
    ///
    /// # Errors
    ///
    /// Content that is not what it says, or keys that do not ascend; and what `each` answers.
    pub fn objects<E: From<SnapshotError>>(
        &self,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut last = None;
        for section in &self.objects {
            let raw = section.unpack()?;
            let mut objects = Objects::new(&raw, last);
            for object in objects.by_ref() {
                let (key, bytes) = object.map_err(|fault| section.error(fault))?;
                each(key, bytes)?;
            }
            last = objects.last_key();
        }
        Ok(())
    }
}

fn chunk_cells(grid: Grid, chunk: u32) -> usize {
    grid.window(chunk).map_or(0, |(rows, cols)| rows.len() * cols.len())
}
