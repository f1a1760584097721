//! What a client sends, whatever its transport: counted, read, answered here or passed to the BEAM.

use dist::Term;
use dist::term::{atom, binary, int, tuple};
use wire::phoenix::{self, Inbound, Message, Payload};

use crate::limits::Bucket;
use crate::metrics::Closed;
use crate::socket::{Close, Socket};

/// A message of a client.
#[derive(Debug, Clone, Copy)]
pub enum Frame<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

/// The term that the BEAM is sent, none if the message was answered here; or how to close.
pub fn take(socket: &Socket, bucket: &mut Bucket, frame: Frame<'_>) -> Result<Option<Term>, Close> {
    let (limits, metrics) = (&socket.common.limits, &socket.common.metrics);
    allow(socket, bucket)?;
    let message = match frame {
        Frame::Text(text) => phoenix::read_text(socket.vsn, text),
        Frame::Binary(bytes) => phoenix::read_binary(socket.vsn, bytes),
    };
    let len = match frame {
        Frame::Text(text) => text.len(),
        Frame::Binary(bytes) => bytes.len(),
    };
    metrics.bytes_in.add(len as u64);
    debug_assert!(len as u64 <= limits.message_bytes);
    let Ok(message) = message else { return Err(Close::new(1011, "", Closed::Malformed)) };
    if message.is_heartbeat() {
        metrics.heartbeats.one();
        socket.send(&Message::Reply {
            join_ref: message.join_ref.as_deref(),
            reference: message.reference.as_deref(),
            topic: phoenix::PHOENIX,
            status: "ok",
            payload: Payload::Json("{}"),
        });
        return Ok(None);
    }
    metrics.messages_in.one();
    let bytes = match message.payload {
        Payload::Json(text) => text.len(),
        Payload::Binary(bytes) => bytes.len(),
    };
    if !socket.hand_over(bytes as u64) {
        return Err(Close::new(1008, "backpressure_input", Closed::BackpressureInput));
    }
    Ok(Some(term(socket.id, &message)))
}

/// Whether the client may send one more for now; or how to close.
pub fn allow(socket: &Socket, bucket: &mut Bucket) -> Result<(), Close> {
    let limits = &socket.common.limits;
    if bucket.take(limits.rate, limits.burst, socket.common.now_ms()) {
        Ok(())
    } else {
        Err(Close::new(1008, "input_rate", Closed::InputRate))
    }
}

fn term(id: u64, message: &Inbound<'_>) -> Term {
    let optional = |text: Option<&str>| text.map_or_else(|| atom("nil"), binary);
    let payload = match message.payload {
        Payload::Json(text) => [atom("json"), binary(text)],
        Payload::Binary(bytes) => [atom("binary"), binary(bytes)],
    };
    tuple([
        atom("gp_in"),
        int(id),
        optional(message.join_ref.as_deref()),
        optional(message.reference.as_deref()),
        binary(&*message.topic),
        binary(&*message.event),
        tuple(payload),
    ])
}

/// The term that says that a subscription fell behind.
pub fn lagged(id: u64, key: &[u8], at: Option<i64>) -> Term {
    tuple([atom("gp_lagged"), int(id), binary(key), at.map_or_else(|| atom("nil"), int)])
}
