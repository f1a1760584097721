//! Messages as they lie in queues. A WebSocket's frame has its header in front already, so that what goes to
//! thousands is built once for each serializer and shared.

use bytes::Bytes;
use wire::phoenix::{Kind, Message, Unbuildable, Vsn};

use crate::ws::header::{MAX_HEADER, Opcode, put_header};

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Frames of RFC 6455.
    WebSocket,
    /// Messages in the answers to polls.
    LongPoll,
}

/// Why a message cannot be put in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unframed {
    /// The serializer does not allow it.
    Unbuildable(Unbuildable),
    /// Answers to polls are JSON.
    BinaryOnLongpoll,
}

/// A message in the form of one kind of client.
pub fn frame(message: &Message<'_>, transport: Transport, vsn: Vsn) -> Result<Bytes, Unframed> {
    let room = match transport {
        Transport::WebSocket => MAX_HEADER,
        Transport::LongPoll => 0,
    };
    let mut bytes = vec![0; room];
    let kind = message.write(vsn, &mut bytes).map_err(Unframed::Unbuildable)?;
    match (transport, kind) {
        (Transport::LongPoll, Kind::Text) => return Ok(bytes.into()),
        (Transport::LongPoll, Kind::Binary) => return Err(Unframed::BinaryOnLongpoll),
        (Transport::WebSocket, _) => {}
    }
    let opcode = if kind == Kind::Text { Opcode::Text } else { Opcode::Binary };
    let mut header = Vec::with_capacity(MAX_HEADER);
    put_header(opcode, bytes.len() - room, &mut header);
    let start = room - header.len();
    bytes[start..room].copy_from_slice(&header);
    // Thousands of queues may hold it for long: no more memory than it needs.
    bytes.shrink_to_fit();
    Ok(Bytes::from(bytes).slice(start..))
}

/// One message for many, built when first asked for.
#[derive(Debug)]
pub struct Shared<'a> {
    message: Message<'a>,
    built: [Option<Result<Bytes, Unframed>>; 4],
}

impl<'a> Shared<'a> {
    /// Nothing is built yet.
    pub fn new(message: Message<'a>) -> Self {
        Shared { message, built: [const { None }; 4] }
    }

    /// In the form of this kind of client.
    pub fn get(&mut self, transport: Transport, vsn: Vsn) -> Result<Bytes, Unframed> {
        let place = 2 * usize::from(vsn == Vsn::V2) + usize::from(transport == Transport::LongPoll);
        self.built[place].get_or_insert_with(|| frame(&self.message, transport, vsn)).clone()
    }
}
