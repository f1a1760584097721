//! What a client is sent.

use super::{Kind, MAX_FIELD, Payload, REPLY, Unbuildable, Vsn};

/// A message for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// From a channel to one client.
    Push {
        /// The reference of the join that this belongs to.
        join_ref: Option<&'a str>,
        /// Set only where it repeats one of the client, as in `phx_close`.
        reference: Option<&'a str>,
        /// The topic.
        topic: &'a str,
        /// The event.
        event: &'a str,
        /// The payload.
        payload: Payload<'a>,
    },
    /// The answer to a message of the client.
    Reply {
        /// The reference of the join that this belongs to.
        join_ref: Option<&'a str>,
        /// The reference of what is answered.
        reference: Option<&'a str>,
        /// The topic.
        topic: &'a str,
        /// `ok` or `error`.
        status: &'a str,
        /// The response.
        payload: Payload<'a>,
    },
    /// To everybody on a topic.
    Broadcast {
        /// The topic.
        topic: &'a str,
        /// The event.
        event: &'a str,
        /// The payload.
        payload: Payload<'a>,
    },
}

impl Message<'_> {
    /// Appends the message to `out`, and says which kind of frame it is.
    pub fn write(&self, vsn: Vsn, out: &mut Vec<u8>) -> Result<Kind, Unbuildable> {
        let payload = match *self {
            Message::Push { payload, .. }
            | Message::Reply { payload, .. }
            | Message::Broadcast { payload, .. } => payload,
        };
        match (payload, vsn) {
            (Payload::Json(json), Vsn::V1) => self.object(json, out),
            (Payload::Json(json), Vsn::V2) => self.array(json, out),
            (Payload::Binary(bytes), Vsn::V2) => {
                self.binary(bytes, out)?;
                return Ok(Kind::Binary);
            }
            (Payload::Binary(_), Vsn::V1) => return Err(Unbuildable::BinaryOnV1),
        }
        Ok(Kind::Text)
    }

    fn array(&self, json: &str, out: &mut Vec<u8>) {
        let (join_ref, reference, topic, event) = match *self {
            Message::Push { join_ref, reference, topic, event, .. } => (join_ref, reference, topic, event),
            Message::Reply { join_ref, reference, topic, .. } => (join_ref, reference, topic, REPLY),
            Message::Broadcast { topic, event, .. } => (None, None, topic, event),
        };
        out.reserve(json.len() + topic.len() + event.len() + 64);
        out.push(b'[');
        for text in [join_ref, reference, Some(topic), Some(event)] {
            put_optional(text, out);
            out.push(b',');
        }
        self.put_payload(json, out);
        out.push(b']');
    }

    /// Without the reference of the join, which clients of V1 are never sent.
    fn object(&self, json: &str, out: &mut Vec<u8>) {
        let (reference, topic, event) = match *self {
            Message::Push { reference, topic, event, .. } => (reference, topic, event),
            Message::Reply { reference, topic, .. } => (reference, topic, REPLY),
            Message::Broadcast { topic, event, .. } => (None, topic, event),
        };
        out.reserve(json.len() + topic.len() + event.len() + 96);
        out.extend_from_slice(b"{\"topic\":");
        put_optional(Some(topic), out);
        out.extend_from_slice(b",\"event\":");
        put_optional(Some(event), out);
        out.extend_from_slice(b",\"payload\":");
        self.put_payload(json, out);
        out.extend_from_slice(b",\"ref\":");
        put_optional(reference, out);
        out.push(b'}');
    }

    fn put_payload(&self, json: &str, out: &mut Vec<u8>) {
        let Message::Reply { status, .. } = *self else {
            out.extend_from_slice(json.as_bytes());
            return;
        };
        out.extend_from_slice(b"{\"response\":");
        out.extend_from_slice(json.as_bytes());
        out.extend_from_slice(b",\"status\":");
        put_optional(Some(status), out);
        out.push(b'}');
    }

    fn binary(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Unbuildable> {
        match *self {
            Message::Push { join_ref, topic, event, .. } => put_binary(
                0,
                &[("join_ref", join_ref.unwrap_or_default()), ("topic", topic), ("event", event)],
                bytes,
                out,
            ),
            Message::Reply { join_ref, reference, topic, status, .. } => put_binary(
                1,
                &[
                    ("join_ref", join_ref.unwrap_or_default()),
                    ("ref", reference.unwrap_or_default()),
                    ("topic", topic),
                    ("status", status),
                ],
                bytes,
                out,
            ),
            Message::Broadcast { topic, event, .. } => {
                put_binary(2, &[("topic", topic), ("event", event)], bytes, out)
            }
        }
    }
}

fn put_optional(text: Option<&str>, out: &mut Vec<u8>) {
    // Writing to memory does not fail, and neither does a string.
    let _ = serde_json::to_writer(out, &text);
}

fn put_binary(
    kind: u8,
    fields: &[(&'static str, &str)],
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Unbuildable> {
    if let Some((field, text)) = fields.iter().find(|(_, text)| text.len() > MAX_FIELD) {
        return Err(Unbuildable::TooLong { field, len: text.len() });
    }
    out.reserve(5 + fields.iter().map(|(_, text)| text.len()).sum::<usize>() + payload.len());
    out.push(kind);
    out.extend(fields.iter().map(|(_, text)| text.len() as u8));
    for (_, text) in fields {
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(payload);
    Ok(())
}
