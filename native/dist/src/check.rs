//! A look over the bytes of a term before `eetf` decodes them: it trusts lengths (and would ask for all the
//! memory they name), recurses as deep as they nest, and panics on a few tags and on odd bit strings.

use thiserror::Error;

/// Terms may nest this deep; decoding and dropping recurse.
pub(crate) const MAX_DEPTH: usize = 256;

/// Why bytes are no term this node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The bytes end within a term.
    #[error("it ends within a term")]
    Truncated,
    /// A term does not begin with the version of the format.
    #[error("a term begins with {0}, expected 131")]
    Version(u8),
    /// A tag that no peer with our flags sends.
    #[error("the tag {0} is unknown or was not agreed on")]
    Tag(u8),
    /// A bit string whose last byte has no bits, or more than eight.
    #[error("a bit string with {0} bits in its last byte")]
    Bits(u8),
    /// Terms within terms without end.
    #[error("terms nest deeper than {MAX_DEPTH}")]
    Depth,
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn skip(&mut self, n: usize) -> Result<(), Malformed> {
        self.rest = self.rest.get(n..).ok_or(Malformed::Truncated)?;
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take::<1>()?[0])
    }

    fn u16(&mut self) -> Result<usize, Malformed> {
        Ok(u16::from_be_bytes(self.take()?).into())
    }

    fn u32(&mut self) -> Result<usize, Malformed> {
        Ok(u32::from_be_bytes(self.take()?) as usize)
    }

    fn atom(&mut self) -> Result<(), Malformed> {
        let len = match self.u8()? {
            100 | 118 => self.u16()?,
            115 | 119 => self.u8()?.into(),
            tag => return Err(Malformed::Tag(tag)),
        };
        self.skip(len)
    }

    fn integer(&mut self) -> Result<(), Malformed> {
        match self.u8()? {
            97 => self.skip(1),
            98 => self.skip(4),
            tag => Err(Malformed::Tag(tag)),
        }
    }

    fn pid(&mut self, tag: u8) -> Result<(), Malformed> {
        self.atom()?;
        match tag {
            88 => self.skip(12),
            103 => self.skip(9),
            tag => Err(Malformed::Tag(tag)),
        }
    }

    /// Passes over a term but for the terms within it, whose number is the answer.
    fn head(&mut self) -> Result<usize, Malformed> {
        match self.u8()? {
            97 => self.skip(1)?,
            98 => self.skip(4)?,
            70 => self.skip(8)?,
            99 => self.skip(31)?,
            100 | 118 => {
                let len = self.u16()?;
                self.skip(len)?;
            }
            115 | 119 => {
                let len = self.u8()?;
                self.skip(len.into())?;
            }
            106 => {}
            107 => {
                let len = self.u16()?;
                self.skip(len)?;
            }
            109 => {
                let len = self.u32()?;
                self.skip(len)?;
            }
            77 => {
                let len = self.u32()?;
                let bits = self.u8()?;
                if !(1..=8).contains(&bits) {
                    return Err(Malformed::Bits(bits));
                }
                self.skip(len)?;
            }
            110 => {
                let len = self.u8()?;
                self.skip(1 + usize::from(len))?;
            }
            111 => {
                let len = self.u32()?;
                self.skip(1 + len)?;
            }
            tag @ (88 | 103) => self.pid(tag)?,
            89 => self.atom().and_then(|()| self.skip(8))?,
            120 => self.atom().and_then(|()| self.skip(12))?,
            102 | 101 => self.atom().and_then(|()| self.skip(5))?,
            tag @ (90 | 114) => {
                let words = self.u16()?;
                self.atom()?;
                self.skip(if tag == 90 { 4 } else { 1 } + 4 * words)?;
            }
            113 => {
                self.atom()?;
                self.atom()?;
                self.integer()?;
            }
            112 => {
                self.skip(4 + 1 + 16 + 4)?;
                let free = self.u32()?;
                self.atom()?;
                self.integer()?;
                self.integer()?;
                let tag = self.u8()?;
                self.pid(tag)?;
                return Ok(free);
            }
            104 => return Ok(self.u8()?.into()),
            105 => return self.u32(),
            108 => return Ok(self.u32()? + 1),
            116 => return Ok(2 * self.u32()?),
            tag => return Err(Malformed::Tag(tag)),
        }
        Ok(0)
    }
}

/// The length of the term that `bytes` begin with.
pub(crate) fn term(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut cursor = Cursor { rest: bytes };
    match cursor.u8()? {
        131 => {}
        version => return Err(Malformed::Version(version)),
    }
    // How many terms are still to come, at each depth.
    let mut open = vec![1usize];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let within = cursor.head()?;
        // Each takes a byte at least, so a decoder asks for no more memory than the frame justifies.
        if within > cursor.rest.len() {
            return Err(Malformed::Truncated);
        }
        if within > 0 {
            if open.len() > MAX_DEPTH {
                return Err(Malformed::Depth);
            }
            open.push(within);
        }
    }
    Ok(bytes.len() - cursor.rest.len())
}
