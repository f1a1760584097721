//! Objects as records: writing them in sections, reading them one after another.

use super::{Fault, MAX_OBJECTS, RECORD, TooLarge};

/// An object: its key and its canonical bytes.
pub type Object<'a> = (u64, &'a [u8]);

/// Types of objects that there are.
const TYPES: std::ops::RangeInclusive<u64> = 1..=5;

/// Collects objects into sections.
#[derive(Debug, Default)]
pub struct Records {
    sections: Vec<Vec<u8>>,
    last: Option<u64>,
}

impl Records {
    /// None yet.
    pub fn new() -> Self {
        Records::default()
    }

    /// Appends an object. Refuses a key that is none or not above the one before, and bytes that are too many.
    pub fn push(&mut self, key: u64, bytes: &[u8]) -> Result<(), TooLarge> {
        let len = u16::try_from(bytes.len()).map_err(|_| TooLarge("an object"))?;
        if !follows(self.last, key) {
            return Err(TooLarge("the key of an object"));
        }
        self.last = Some(key);
        if self.sections.last().is_none_or(|last| last.len() + RECORD + bytes.len() > MAX_OBJECTS) {
            self.sections.push(Vec::new());
        }
        let section = self.sections.last_mut().expect("one was pushed");
        section.extend(key.to_le_bytes());
        section.extend(len.to_le_bytes());
        section.extend(bytes);
        Ok(())
    }

    /// The raw bytes of each section.
    pub fn sections(self) -> Vec<Vec<u8>> {
        self.sections
    }
}

/// Whether this is the key of an object, and above the one before it.
fn follows(last: Option<u64>, key: u64) -> bool {
    TYPES.contains(&(key >> 56)) && key >> 48 & 0xff == 0 && last.is_none_or(|last| key > last)
}

/// The objects of a section. After an error nothing more comes.
#[derive(Debug, Clone)]
pub struct Objects<'a> {
    raw: &'a [u8],
    at: usize,
    last: Option<u64>,
}

impl<'a> Objects<'a> {
    /// Those in the raw bytes of a section, all of them above `last`.
    pub fn new(raw: &'a [u8], last: Option<u64>) -> Self {
        Objects { raw, at: 0, last }
    }

    /// The last key so far, above which the first of the next section must be.
    pub fn last_key(&self) -> Option<u64> {
        self.last
    }

    fn object(&mut self) -> Result<Object<'a>, Fault> {
        let cut = Fault::Object(self.at);
        let Some((head, rest)) = self.raw[self.at..].split_first_chunk::<RECORD>() else { return Err(cut) };
        let [k0, k1, k2, k3, k4, k5, k6, k7, low, high] = *head;
        let key = u64::from_le_bytes([k0, k1, k2, k3, k4, k5, k6, k7]);
        let Some(bytes) = rest.get(..usize::from(u16::from_le_bytes([low, high]))) else { return Err(cut) };
        if !follows(self.last, key) {
            return Err(Fault::Key(key));
        }
        self.at += RECORD + bytes.len();
        self.last = Some(key);
        Ok((key, bytes))
    }
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<Object<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.raw.len() {
            return None;
        }
        let object = self.object();
        if object.is_err() {
            self.at = self.raw.len();
        }
        Some(object)
    }
}
