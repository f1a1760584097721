//! What a client sends.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Inbound, MAX_DEPTH, MAX_FIELD, Malformed, Payload, Vsn, json};

/// Reads a text frame.
pub fn read_text(vsn: Vsn, text: &str) -> Result<Inbound<'_>, Malformed> {
    let Envelope { join_ref, reference, topic, event, payload } = match vsn {
        Vsn::V1 => serde_json::from_str::<Object<'_>>(text)?.into(),
        Vsn::V2 => serde_json::from_str::<Array<'_>>(text)?.0,
    };
    let payload = payload.get();
    if !json::is_shallow(payload, MAX_DEPTH) {
        return Err(Malformed::Depth);
    }
    Ok(Inbound {
        join_ref: optional("join_ref", join_ref)?,
        reference: optional("ref", reference)?,
        topic: short("topic", topic.0)?,
        event: short("event", event.0)?,
        payload: Payload::Json(payload),
    })
}

/// Reads a binary frame, which only V2 has.
pub fn read_binary(vsn: Vsn, bytes: &[u8]) -> Result<Inbound<'_>, Malformed> {
    if vsn == Vsn::V1 {
        return Err(Malformed::BinaryOnV1);
    }
    let (kind, rest) = bytes.split_first().ok_or(Malformed::Truncated)?;
    if *kind != 0 {
        return Err(Malformed::Kind(*kind));
    }
    let (lengths, mut rest) = rest.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
    let mut field = |name, len: u8| {
        let (field, after) = rest.split_at_checked(len.into()).ok_or(Malformed::Truncated)?;
        rest = after;
        std::str::from_utf8(field).map(Cow::Borrowed).map_err(|_| Malformed::Utf8(name))
    };
    let join_ref = field("join_ref", lengths[0])?;
    let reference = field("ref", lengths[1])?;
    let topic = field("topic", lengths[2])?;
    let event = field("event", lengths[3])?;
    // The binary form has no other way to say that there is none.
    Ok(Inbound {
        join_ref: Some(join_ref).filter(|text| !text.is_empty()),
        reference: Some(reference).filter(|text| !text.is_empty()),
        topic,
        event,
        payload: Payload::Binary(rest),
    })
}

fn short<'a>(field: &'static str, text: Cow<'a, str>) -> Result<Cow<'a, str>, Malformed> {
    match text.len() {
        0..=MAX_FIELD => Ok(text),
        len => Err(Malformed::TooLong { field, len }),
    }
}

fn optional<'a>(field: &'static str, text: Option<Text<'a>>) -> Result<Option<Cow<'a, str>>, Malformed> {
    text.map(|text| short(field, text.0)).transpose()
}

struct Envelope<'a> {
    join_ref: Option<Text<'a>>,
    reference: Option<Text<'a>>,
    topic: Text<'a>,
    event: Text<'a>,
    payload: &'a RawValue,
}

/// A string, borrowed if nothing in it is escaped: a bare `Cow` in an `Option` is always copied.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// As V1 has it; what else is in it is passed over.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    join_ref: Option<Text<'a>>,
    #[serde(borrow, rename = "ref")]
    reference: Option<Text<'a>>,
    #[serde(borrow)]
    topic: Text<'a>,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl<'a> From<Object<'a>> for Envelope<'a> {
    fn from(object: Object<'a>) -> Self {
        let Object { join_ref, reference, topic, event, payload } = object;
        Envelope { join_ref, reference, topic, event, payload }
    }
}

/// As V2 has it; what follows the fifth element is passed over, as Phoenix does.
struct Array<'a>(Envelope<'a>);

impl<'de> Deserialize<'de> for Array<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ArrayVisitor)
    }
}

struct ArrayVisitor;

impl<'de> Visitor<'de> for ArrayVisitor {
    type Value = Array<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[join_ref, ref, topic, event, payload]")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        fn next<'de, T: Deserialize<'de>, S: SeqAccess<'de>>(seq: &mut S, n: usize) -> Result<T, S::Error> {
            seq.next_element()?.ok_or_else(|| de::Error::invalid_length(n, &ArrayVisitor))
        }
        let envelope = Envelope {
            join_ref: next(&mut seq, 0)?,
            reference: next(&mut seq, 1)?,
            topic: next(&mut seq, 2)?,
            event: next(&mut seq, 3)?,
            payload: next(&mut seq, 4)?,
        };
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Array(envelope))
    }
}
