//! One client.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt::Linger};
use thiserror::Error;

use super::clock;
use super::frame::{self, Frame, FrameError, Opcode};
use super::protocol::{self, Incoming};

const CONNECT: Duration = Duration::from_secs(5);

/// Why a socket is of no use any more.
#[derive(Debug, Error)]
pub enum Lost {
    #[error("the server did not upgrade: {0}")]
    Refused(String),
    #[error("the server refused the join")]
    JoinRefused,
    #[error("the server closed with code {0} {1:?}")]
    Closed(u16, String),
    #[error("the server sent {0}")]
    Frame(#[from] FrameError),
    #[error("the connection ended")]
    End,
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Upgrading,
    Joining,
    Joined,
    Lost,
}

/// A message, the socket that got it, and when.
pub struct Message {
    pub socket: usize,
    pub at: u64,
    pub incoming: Incoming,
}

pub struct Socket {
    stream: mio::net::TcpStream,
    pub stage: Stage,
    /// The beginning of a frame whose rest is still to come.
    held: Vec<u8>,
    /// What was asked last, and when.
    pub reference: u32,
    pub sent_at: u64,
}

impl Socket {
    pub fn open(address: SocketAddr, path: &str, index: usize, registry: &Registry) -> Result<Self, Lost> {
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_nodelay(true)?;
        // Thousands of connections in TIME_WAIT would use up the ports of the next run.
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, Linger, &at_once).map_err(std::io::Error::from)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        registry.register(&mut stream, Token(index), Interest::READABLE)?;
        let mut socket =
            Socket { stream, stage: Stage::Upgrading, held: Vec::new(), reference: 1, sent_at: 0 };
        socket.write(protocol::request(address, path).as_bytes())?;
        Ok(socket)
    }

    pub fn text(&mut self, message: &str, mask: [u8; 4]) -> Result<(), Lost> {
        self.send(Opcode::Text, message.as_bytes(), mask)
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> Result<(), Lost> {
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        frame::write(opcode, mask, payload, &mut bytes);
        self.write(&bytes)
    }

    /// A client has little to say: a server that does not even take that is not to be measured.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let result = self.stream.write_all(bytes);
        if result.is_err() {
            self.stage = Stage::Lost;
        }
        Ok(result?)
    }

    /// Reads what there is. Messages go to the inbox.
    pub fn receive(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        mask: [u8; 4],
        inbox: &mut Vec<Message>,
    ) -> Result<(), Lost> {
        let result = self.receive_all(index, buffer, mask, inbox);
        if result.is_err() {
            self.stage = Stage::Lost;
        }
        result
    }

    fn receive_all(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        mask: [u8; 4],
        inbox: &mut Vec<Message>,
    ) -> Result<(), Lost> {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(Lost::End),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let at = clock::monotonic();
            let mut each = |incoming| inbox.push(Message { socket: index, at, incoming });
            if self.held.is_empty() {
                let used = self.frames(&buffer[..length], mask, &mut each)?;
                self.held.extend_from_slice(&buffer[used..length]);
            } else {
                let mut held = std::mem::take(&mut self.held);
                held.extend_from_slice(&buffer[..length]);
                let used = self.frames(&held, mask, &mut each)?;
                held.drain(..used);
                self.held = held;
            }
            // Less than there was room for is all that there was, and the next byte wakes the poll again.
            if length < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Takes the whole frames at the beginning, and says how long they are.
    fn frames(
        &mut self,
        bytes: &[u8],
        mask: [u8; 4],
        each: &mut impl FnMut(Incoming),
    ) -> Result<usize, Lost> {
        let mut used = 0;
        if self.stage == Stage::Upgrading {
            match protocol::response(bytes) {
                None => return Ok(0),
                Some((length, true)) => used = length,
                Some((length, false)) => {
                    let line = bytes[..length].split(|byte| *byte == b'\r').next().unwrap_or_default();
                    return Err(Lost::Refused(String::from_utf8_lossy(line).into_owned()));
                }
            }
            self.stage = Stage::Joining;
            self.text(protocol::JOIN, mask)?;
        }
        while let Some(Frame { opcode, payload, length }) = frame::read(&bytes[used..])? {
            used += length;
            match opcode {
                Opcode::Text => each(self.message(protocol::incoming(payload))?),
                Opcode::Ping => self.send(Opcode::Pong, payload, mask)?,
                Opcode::Close => {
                    let (code, reason) = payload.split_at_checked(2).unwrap_or((&[0x03, 0xed], b""));
                    let reason = String::from_utf8_lossy(reason).into_owned();
                    return Err(Lost::Closed(u16::from_be_bytes([code[0], code[1]]), reason));
                }
                Opcode::Binary | Opcode::Pong => {}
            }
        }
        Ok(used)
    }

    fn message(&mut self, incoming: Incoming) -> Result<Incoming, Lost> {
        match (self.stage, &incoming) {
            (Stage::Joining, Incoming::Reply(1, true)) => {
                self.stage = Stage::Joined;
                Ok(Incoming::Joined)
            }
            (Stage::Joining, Incoming::Reply(1, false)) => Err(Lost::JoinRefused),
            _ => Ok(incoming),
        }
    }
}
