//! WebSocket frames as a client writes and reads them.

use thiserror::Error;

/// Nothing that the benchmark sends or asks for is longer.
const MAX_FRAME: usize = 1 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// A server that breaks the protocol, or uses what no server here needs.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    #[error("a masked frame, which only clients send")]
    Masked,
    #[error("a fragment or an unknown frame, first byte {0:#04x}")]
    Kind(u8),
    #[error("a frame of {0} bytes")]
    TooLong(u64),
}

/// Appends a masked frame.
pub fn write(opcode: Opcode, mask: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    let first = 0x80
        | match opcode {
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        };
    out.push(first);
    match payload.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        long @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(long as u16).to_be_bytes());
        }
        longer => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(longer as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub opcode: Opcode,
    pub payload: &'a [u8],
    /// With its header.
    pub length: usize,
}

/// The first frame of `bytes`; none if it is not all there.
pub fn read(bytes: &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let opcode = match first {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        other => return Err(FrameError::Kind(*other)),
    };
    if second & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    let (length, header) = match second {
        126 => match rest.first_chunk() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 10),
            None => return Ok(None),
        },
        short => (u64::from(*short), 2),
    };
    if length > MAX_FRAME as u64 {
        return Err(FrameError::TooLong(length));
    }
    let whole = header + length as usize;
    Ok(bytes.get(header..whole).map(|payload| Frame { opcode, payload, length: whole }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_what_it_writes() {
        // The example of RFC 6455, 5.7.
        let mut out = Vec::new();
        write(Opcode::Text, [0x37, 0xfa, 0x21, 0x3d], b"Hello", &mut out);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn writes_all_forms_of_length() {
        for (length, header) in [(125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let mut out = Vec::new();
            write(Opcode::Binary, [0; 4], &vec![7; length], &mut out);
            assert_eq!(out.len(), header + length);
            out[1] &= 0x7f;
            let mask = header - 4;
            out.drain(mask..header);
            let frame = read(&out).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload.len()), (Opcode::Binary, length));
            assert_eq!(frame.length, header - 4 + length);
        }
    }

    #[test]
    fn waits_for_the_rest_of_a_frame() {
        let frame = [&[0x81, 126, 0, 200][..], &[b'x'; 200]].concat();
        for cut in 0..frame.len() {
            assert_eq!(read(&frame[..cut]), Ok(None));
        }
        assert_eq!(read(&frame).unwrap().unwrap().length, 204);
    }

    #[test]
    fn refuses_what_no_server_sends() {
        assert_eq!(read(&[0x81, 0x85, 0, 0]), Err(FrameError::Masked));
        assert_eq!(read(&[0x01, 0]), Err(FrameError::Kind(1)));
        assert_eq!(read(&[0xc1, 0]), Err(FrameError::Kind(0xc1)));
        let long = [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(read(&long), Err(FrameError::TooLong(1 << 32)));
    }
}
