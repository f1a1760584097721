//! The envelopes of Phoenix channels: what a client sends ([`read_text`], [`read_binary`]) and what it is sent
//! ([`Message`]), in the serializers V1 (JSON objects) and V2 (JSON arrays and binary).
//!
//! Pure functions over bytes. A payload is never copied on the way in: it is a slice of what was read.

mod build;
mod json;
mod parse;

use std::borrow::Cow;

use thiserror::Error;

pub use build::Message;
pub use parse::{read_binary, read_text};

/// The longest topic, event, reference or status, in bytes: the binary form has one byte for each length.
pub const MAX_FIELD: usize = 255;

/// JSON may nest this deep; decoders behind us recurse.
pub const MAX_DEPTH: usize = 100;

/// The topic of the transport itself.
pub const PHOENIX: &str = "phoenix";

/// The event by which a client says that it lives.
pub const HEARTBEAT: &str = "heartbeat";

/// The event of an answer.
pub const REPLY: &str = "phx_reply";

/// The version of the serializer, which a client names as `vsn` when it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vsn {
    /// JSON objects, and nothing binary.
    V1,
    /// JSON arrays, and binary frames.
    V2,
}

impl Vsn {
    /// The version that the query parameter names; its absence names the first.
    pub fn from_query(vsn: Option<&str>) -> Option<Vsn> {
        match vsn {
            None => Some(Vsn::V1),
            Some(vsn) if vsn.starts_with("1.") => Some(Vsn::V1),
            Some(vsn) if vsn.starts_with("2.") => Some(Vsn::V2),
            Some(_) => None,
        }
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Vsn::V1 => 1,
            Vsn::V2 => 2,
        }
    }
}

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// The text of a JSON value.
    Json(&'a str),
    /// Bytes that only the two ends understand.
    Binary(&'a [u8]),
}

/// What a client has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound<'a> {
    /// The reference of the join that this belongs to.
    pub join_ref: Option<Cow<'a, str>>,
    /// The reference that a reply repeats.
    pub reference: Option<Cow<'a, str>>,
    /// The topic.
    pub topic: Cow<'a, str>,
    /// The event.
    pub event: Cow<'a, str>,
    /// The payload.
    pub payload: Payload<'a>,
}

impl Inbound<'_> {
    /// Whether this only says that the client lives.
    pub fn is_heartbeat(&self) -> bool {
        self.topic == PHOENIX && self.event == HEARTBEAT
    }
}

/// Whether a frame is text or binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// Why bytes are no message.
#[derive(Debug, Error)]
pub enum Malformed {
    /// It is no JSON, or JSON of another shape.
    #[error("not a message of this serializer: {0}")]
    Json(#[from] serde_json::Error),
    /// The payload nests too deep.
    #[error("JSON nests deeper than {MAX_DEPTH}")]
    Depth,
    /// A topic, event or reference is too long.
    #[error("the {field} has {len} bytes, the most is {MAX_FIELD}")]
    TooLong {
        /// Which.
        field: &'static str,
        /// Its length.
        len: usize,
    },
    /// Binary frames belong to V2.
    #[error("a binary frame with vsn 1: connect with vsn=2.0.0 to send binary")]
    BinaryOnV1,
    /// Clients send no other kind of binary frame than pushes.
    #[error("a binary frame of kind {0}, expected 0")]
    Kind(u8),
    /// A binary frame ends within its header.
    #[error("a binary frame ends within its header")]
    Truncated,
    /// A field of a binary frame is no text.
    #[error("the {0} of a binary frame is not UTF-8")]
    Utf8(&'static str),
}

/// Why a message cannot be put into an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unbuildable {
    /// V1 has no binary form.
    #[error("a binary payload for a client of vsn 1, which has JSON only")]
    BinaryOnV1,
    /// A field is too long for the binary form.
    #[error("the {field} has {len} bytes, the most is {MAX_FIELD}")]
    TooLong {
        /// Which.
        field: &'static str,
        /// Its length.
        len: usize,
    },
}
