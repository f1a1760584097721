//! Reading frames of a client, from bytes as they come. It holds no more than the message that is under way.

use thiserror::Error;

use super::header::Opcode;

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Bytes in one frame.
    pub frame: u64,
    /// Bytes in a whole message.
    pub message: u64,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// The answer to a ping, or a sign of life.
    Pong,
    /// The end, with its code if there is one.
    Close(Option<u16>),
}

/// Why a connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// Against RFC 6455.
    #[error("{0}")]
    Protocol(&'static str),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// More than a frame or a message may have.
    #[error("too large")]
    TooLarge,
}

impl Violation {
    /// The code to close with.
    pub fn code(self) -> u16 {
        match self {
            Violation::Protocol(_) => 1002,
            Violation::Utf8 => 1007,
            Violation::TooLarge => 1009,
        }
    }
}

/// A frame whose header has come.
#[derive(Debug, Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the payload that have come, and those still to come.
    at: usize,
    left: usize,
}

/// Reads frames.
#[derive(Debug)]
pub struct Reader {
    most: Most,
    head: [u8; 14],
    head_len: u8,
    frame: Option<Frame>,
    control: Vec<u8>,
    /// Whether a message is under way, and is text.
    under_way: Option<bool>,
    message: Vec<u8>,
    /// So many bytes of a text are known to be UTF-8.
    valid: usize,
}

impl Reader {
    /// Nothing has come yet.
    pub fn new(most: Most) -> Self {
        Reader {
            most,
            head: [0; 14],
            head_len: 0,
            frame: None,
            control: Vec::new(),
            under_way: None,
            message: Vec::new(),
            valid: 0,
        }
    }

    /// Takes from `input` what belongs to the next item; none when more has to come first.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item>, Violation> {
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.header(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            self.frame = self.payload(frame, input)?;
            if self.frame.is_some() {
                return Ok(None);
            }
            if let Some(item) = self.complete(frame)? {
                return Ok(Some(item));
            }
        }
    }

    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        loop {
            let have = usize::from(self.head_len);
            let need = match have {
                0 | 1 => 2,
                _ => match self.head[1] & 0x7f {
                    126 => 8,
                    127 => 14,
                    _ => 6,
                },
            };
            if have == need {
                break;
            }
            let n = input.len().min(need - have);
            if n == 0 {
                return Ok(None);
            }
            self.head[have..have + n].copy_from_slice(&input[..n]);
            *input = &input[n..];
            self.head_len += n as u8;
            if have < 2 && have + n >= 2 {
                self.check_start()?;
            }
        }
        self.head_len = 0;
        self.start().map(Some)
    }

    /// What the first two bytes say already.
    fn check_start(&self) -> Result<Opcode, Violation> {
        let [first, second, ..] = self.head;
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("a reserved bit is set"));
        }
        let opcode = Opcode::from_number(first & 0x0f).ok_or(Violation::Protocol("an unknown opcode"))?;
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("a frame of a client is not masked"));
        }
        let (fin, len) = (first & 0x80 != 0, second & 0x7f);
        match opcode {
            opcode if opcode.is_control() && !fin => Err(Violation::Protocol("a control frame in pieces")),
            opcode if opcode.is_control() && len > 125 => {
                Err(Violation::Protocol("a control frame is too long"))
            }
            Opcode::Continuation if self.under_way.is_none() => {
                Err(Violation::Protocol("nothing to continue"))
            }
            Opcode::Text | Opcode::Binary if self.under_way.is_some() => {
                Err(Violation::Protocol("a message within a message"))
            }
            opcode => Ok(opcode),
        }
    }

    fn start(&mut self) -> Result<Frame, Violation> {
        let opcode = self.check_start()?;
        let head = &self.head;
        let (len, at, least) = match head[1] & 0x7f {
            126 => (u64::from(u16::from_be_bytes([head[2], head[3]])), 4, 126),
            127 => (u64::from_be_bytes(*head[2..].first_chunk().expect("14 bytes")), 10, 0x1_0000),
            len => (len.into(), 2, 0),
        };
        if len < least || len >> 63 != 0 {
            return Err(Violation::Protocol("a length is not in its shortest form"));
        }
        let mask = *head[at..].first_chunk().expect("14 bytes");
        if !opcode.is_control() {
            if len > self.most.frame || len.saturating_add(self.message.len() as u64) > self.most.message {
                return Err(Violation::TooLarge);
            }
            if opcode != Opcode::Continuation {
                self.under_way = Some(opcode == Opcode::Text);
            }
        }
        let fin = head[0] & 0x80 != 0;
        Ok(Frame { fin, opcode, mask, at: 0, left: len as usize })
    }

    /// Takes what has come of a payload; the frame if more is to come.
    fn payload(&mut self, mut frame: Frame, input: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        let n = input.len().min(frame.left);
        let (bytes, rest) = input.split_at(n);
        *input = rest;
        let target = if frame.opcode.is_control() { &mut self.control } else { &mut self.message };
        let start = target.len();
        target.extend_from_slice(bytes);
        unmask(&mut target[start..], frame.mask, frame.at);
        frame.at += n;
        frame.left -= n;
        if self.under_way == Some(true) && !frame.opcode.is_control() {
            self.check_text()?;
        }
        Ok((frame.left > 0).then_some(frame))
    }

    /// What is wrong with a text is said before its end has come.
    fn check_text(&mut self) -> Result<(), Violation> {
        match std::str::from_utf8(&self.message[self.valid..]) {
            Ok(_) => self.valid = self.message.len(),
            Err(error) if error.error_len().is_some() => return Err(Violation::Utf8),
            Err(error) => self.valid += error.valid_up_to(),
        }
        Ok(())
    }

    fn complete(&mut self, frame: Frame) -> Result<Option<Item>, Violation> {
        Ok(Some(match frame.opcode {
            Opcode::Ping => Item::Ping(std::mem::take(&mut self.control)),
            Opcode::Pong => {
                self.control = Vec::new();
                Item::Pong
            }
            Opcode::Close => Item::Close(close_code(&std::mem::take(&mut self.control))?),
            _ if !frame.fin => return Ok(None),
            _ => {
                let message = std::mem::take(&mut self.message);
                self.valid = 0;
                match self.under_way.take() {
                    Some(true) => Item::Text(String::from_utf8(message).map_err(|_| Violation::Utf8)?),
                    _ => Item::Binary(message),
                }
            }
        }))
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4], at: usize) {
    let mut mask = mask;
    mask.rotate_left(at % 4);
    let mut chunks = bytes.chunks_exact_mut(4);
    for chunk in &mut chunks {
        let word = u32::from_ne_bytes(*chunk.first_chunk().expect("four bytes")) ^ u32::from_ne_bytes(mask);
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(None),
            _ => Err(Violation::Protocol("a close with half a code")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::Protocol("a code that nobody may close with"));
    }
    std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
    Ok(Some(code))
}
