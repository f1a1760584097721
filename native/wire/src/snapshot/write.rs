//! Writing.

use thiserror::Error;

use super::{
    HEADER, Header, Kind, MAGIC, MAX_OBJECT_SECTIONS, MAX_RULESET, SECTION, VERSION, check_of, section_check,
};

/// Something that has no place in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} does not fit into a snapshot")]
pub struct TooLarge(pub &'static str);

/// The content of a section as it is stored. Packing does not need the header, so that it can be done on many threads
/// before the digest is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    raw_len: u32,
    bytes: Vec<u8>,
}

impl Packed {
    /// Packs raw bytes, or keeps them if that is not shorter.
    pub fn new(raw: Vec<u8>) -> Self {
        let raw_len = raw.len() as u32;
        let packed = lz4_flex::block::compress(&raw);
        Packed { raw_len, bytes: if packed.len() < raw.len() { packed } else { raw } }
    }
}

/// What binds sections to their header.
#[derive(Debug, Clone)]
pub struct Seal {
    key: [u8; 32],
}

impl Seal {
    /// Appends the header of a snapshot of so many sections.
    pub fn new(header: &Header, sections: u32, bytes: &mut Vec<u8>) -> Self {
        let start = bytes.len();
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(0u16.to_le_bytes());
        bytes.extend(header.frequency.to_le_bytes());
        bytes.extend(header.tick.to_le_bytes());
        bytes.extend(header.seed.to_le_bytes());
        bytes.extend(header.ruleset_hash);
        bytes.extend(header.digest);
        bytes.extend(sections.to_le_bytes());
        debug_assert_eq!(bytes.len() - start, HEADER);
        bytes.extend(check_of(&blake3::hash(&bytes[start..])));
        Seal { key: *blake3::hash(&bytes[start..]).as_bytes() }
    }

    /// Appends a section.
    pub fn section(&self, kind: Kind, number: u32, content: &Packed, bytes: &mut Vec<u8>) {
        self.raw_section(kind as u8, number, content.raw_len, &content.bytes, bytes);
    }

    /// Appends what need not be a section that can be read, but has the right check: for tests of readers.
    #[doc(hidden)]
    pub fn raw_section(&self, kind: u8, number: u32, raw_len: u32, packed: &[u8], bytes: &mut Vec<u8>) {
        bytes.push(kind);
        bytes.extend(number.to_le_bytes());
        bytes.extend(raw_len.to_le_bytes());
        bytes.extend((packed.len() as u32).to_le_bytes());
        bytes.extend(section_check(&self.key, kind, number, raw_len, packed));
        bytes.extend(packed);
    }
}

/// A snapshot of the text of the ruleset, a section for each chunk in order, and those of the objects in order.
pub fn write(
    header: &Header,
    ruleset: &str,
    field: &[Packed],
    objects: &[Packed],
) -> Result<Vec<u8>, TooLarge> {
    if ruleset.len() > MAX_RULESET {
        return Err(TooLarge("the text of the ruleset"));
    }
    if objects.len() > MAX_OBJECT_SECTIONS as usize {
        return Err(TooLarge("the number of objects"));
    }
    let ruleset = Packed::new(ruleset.as_bytes().to_vec());
    let end = Packed { raw_len: 0, bytes: Vec::new() };
    let sections = 2 + field.len() + objects.len();
    let all = || [&ruleset].into_iter().chain(field).chain(objects).chain([&end]);
    let mut bytes = Vec::with_capacity(
        HEADER + super::CHECK + all().map(|content| SECTION + content.bytes.len()).sum::<usize>(),
    );
    let seal = Seal::new(header, sections as u32, &mut bytes);
    seal.section(Kind::Ruleset, 0, &ruleset, &mut bytes);
    for (number, content) in (0..).zip(field) {
        seal.section(Kind::Field, number, content, &mut bytes);
    }
    for (number, content) in (0..).zip(objects) {
        seal.section(Kind::Objects, number, content, &mut bytes);
    }
    seal.section(Kind::End, 0, &end, &mut bytes);
    Ok(bytes)
}
