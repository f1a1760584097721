//! What the BEAM asks for, decoded. Nonsense is refused one command at a time, so that a mistake in one does not
//! cost the others of its batch.

use dist::term::{as_atom, as_int};
use dist::{Pid, Term};
use wire::phoenix::Payload;

use crate::pending::Answer;

/// A reference, or none.
pub type Reference = Option<String>;

/// What is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The text of a JSON value.
    Json(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Body {
    /// Borrows it.
    pub fn payload(&self) -> Payload<'_> {
        match self {
            Body::Json(text) => Payload::Json(text),
            Body::Binary(bytes) => Payload::Binary(bytes),
        }
    }
}

/// For one socket: what may also be sent to its pid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToSocket {
    /// Send this.
    Push {
        /// The reference of the join.
        join_ref: Reference,
        /// Set where it repeats one of the client.
        reference: Reference,
        /// The topic.
        topic: String,
        /// The event.
        event: String,
        /// The payload.
        body: Body,
    },
    /// Answer this.
    Reply {
        /// The reference of the join.
        join_ref: Reference,
        /// The reference of what is answered.
        reference: Reference,
        /// The topic.
        topic: String,
        /// `ok` or `error`.
        status: String,
        /// The response.
        body: Body,
    },
    /// So much of what the client sent has been handled.
    Handled {
        /// Messages.
        messages: u64,
        /// Bytes of payload.
        bytes: u64,
    },
    /// Close.
    Close {
        /// The code of RFC 6455.
        code: u16,
        /// The reason, in at most 123 bytes.
        reason: String,
    },
    /// The answer to a request, which is no socket but has a pid likewise.
    Respond(Answer),
}

/// One of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Lets a client in.
    Accept {
        /// Whom.
        id: u64,
        /// The process that it is told of.
        connection: Pid,
    },
    /// Does not let a client in.
    Refuse {
        /// Whom.
        id: u64,
        /// The status of the answer.
        status: u16,
        /// Its body, JSON.
        body: Vec<u8>,
    },
    /// Something for one socket.
    To(u64, ToSocket),
    /// Subscribes a socket, or says anew where it is.
    Subscribe {
        /// Whom.
        id: u64,
        /// To what.
        key: Vec<u8>,
        /// The tick that it is at.
        at: Option<i64>,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// Whose.
        id: u64,
        /// To what.
        key: Vec<u8>,
    },
    /// Sends to everybody who has subscribed.
    Broadcast {
        /// To what.
        key: Vec<u8>,
        /// The topic.
        topic: String,
        /// The event.
        event: String,
        /// The payload.
        body: Body,
        /// Not to this one.
        except: Option<u64>,
        /// From and to which tick it leads those who get it.
        stream: Option<(i64, i64)>,
    },
}

/// The commands of `{gp, [Command]}`, each of which may be nonsense; none if it is another message.
pub fn batch(message: Term) -> Option<Vec<Option<Command>>> {
    let [tag, list] = tuple(message)?;
    match (as_atom(&tag)?, list) {
        ("gp", Term::List(list)) => Some(list.elements.into_iter().map(command).collect()),
        _ => None,
    }
}

/// What a plain message asks of the socket to whose pid it was sent.
pub fn to_socket(message: Term) -> Option<ToSocket> {
    let (name, rest) = named(message)?;
    to_one(&name, rest)
}

fn command(term: Term) -> Option<Command> {
    let (name, mut rest) = named(term)?;
    Some(match name.as_str() {
        "accept" => {
            let [id, Term::Pid(connection)] = exactly(rest)? else { return None };
            Command::Accept { id: id_of(&id)?, connection }
        }
        "refuse" => {
            let [id, status, body] = exactly(rest)?;
            let status = u16::try_from(as_int(&status)?).ok().filter(|status| (400..600).contains(status))?;
            Command::Refuse { id: id_of(&id)?, status, body: bytes(body)? }
        }
        "subscribe" => {
            let [id, key, at] = exactly(rest)?;
            let at = if is_nil(&at) { None } else { Some(as_int(&at)?) };
            Command::Subscribe { id: id_of(&id)?, key: bytes(key)?, at }
        }
        "unsubscribe" => {
            let [id, key] = exactly(rest)?;
            Command::Unsubscribe { id: id_of(&id)?, key: bytes(key)? }
        }
        "broadcast" => {
            let [key, topic, event, payload, except, stream] = exactly(rest)?;
            Command::Broadcast {
                key: bytes(key)?,
                topic: text(topic)?,
                event: text(event)?,
                body: body(payload)?,
                except: if is_nil(&except) { None } else { Some(id_of(&except)?) },
                stream: if is_nil(&stream) { None } else { Some(span(stream)?) },
            }
        }
        name if !rest.is_empty() => {
            let id = id_of(&rest.remove(0))?;
            Command::To(id, to_one(name, rest)?)
        }
        _ => return None,
    })
}

fn to_one(name: &str, rest: Vec<Term>) -> Option<ToSocket> {
    Some(match name {
        "push" => {
            let [join_ref, reference, topic, event, payload] = exactly(rest)?;
            ToSocket::Push {
                join_ref: reference_of(join_ref)?,
                reference: reference_of(reference)?,
                topic: text(topic)?,
                event: text(event)?,
                body: body(payload)?,
            }
        }
        "reply" => {
            let [join_ref, reference, topic, status, payload] = exactly(rest)?;
            ToSocket::Reply {
                join_ref: reference_of(join_ref)?,
                reference: reference_of(reference)?,
                topic: text(topic)?,
                status: text(status)?,
                body: body(payload)?,
            }
        }
        "handled" => {
            let [messages, bytes] = exactly(rest)?;
            let number = |term: Term| u64::try_from(as_int(&term)?).ok();
            ToSocket::Handled { messages: number(messages)?, bytes: number(bytes)? }
        }
        "close" => {
            let [code, reason] = exactly(rest)?;
            let code = u16::try_from(as_int(&code)?).ok().filter(|code| (1000..5000).contains(code))?;
            ToSocket::Close { code, reason: text(reason)? }
        }
        "respond" => {
            let [status, headers, body] = exactly(rest)?;
            let status = u16::try_from(as_int(&status)?).ok().filter(|status| (200..600).contains(status))?;
            let Term::List(headers) = headers else { return None };
            let headers = headers.elements.into_iter().map(header).collect::<Option<_>>()?;
            ToSocket::Respond(Answer { status, headers, body: bytes(body)?.into() })
        }
        _ => return None,
    })
}

fn tuple<const N: usize>(term: Term) -> Option<[Term; N]> {
    match term {
        Term::Tuple(tuple) => exactly(tuple.elements),
        _ => None,
    }
}

fn exactly<const N: usize>(terms: Vec<Term>) -> Option<[Term; N]> {
    terms.try_into().ok()
}

/// The atom that a tuple begins with, and the rest.
fn named(term: Term) -> Option<(String, Vec<Term>)> {
    let Term::Tuple(mut tuple) = term else { return None };
    if tuple.elements.is_empty() {
        return None;
    }
    match tuple.elements.remove(0) {
        Term::Atom(name) => Some((name.name, tuple.elements)),
        _ => None,
    }
}

fn is_nil(term: &Term) -> bool {
    as_atom(term) == Some("nil")
}

fn id_of(term: &Term) -> Option<u64> {
    as_int(term).and_then(|id| u64::try_from(id).ok())
}

fn bytes(term: Term) -> Option<Vec<u8>> {
    match term {
        Term::Binary(binary) => Some(binary.bytes),
        _ => None,
    }
}

fn text(term: Term) -> Option<String> {
    String::from_utf8(bytes(term)?).ok()
}

fn reference_of(term: Term) -> Option<Reference> {
    if is_nil(&term) { Some(None) } else { text(term).map(Some) }
}

fn body(term: Term) -> Option<Body> {
    let [kind, payload] = tuple(term)?;
    match as_atom(&kind)? {
        "json" => text(payload).map(Body::Json),
        "binary" => bytes(payload).map(Body::Binary),
        _ => None,
    }
}

fn header(term: Term) -> Option<(String, Vec<u8>)> {
    let [name, value] = tuple(term)?;
    Some((text(name)?, bytes(value)?))
}

fn span(term: Term) -> Option<(i64, i64)> {
    let [since, tick] = tuple(term)?;
    Some((as_int(&since)?, as_int(&tick)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dist::term::{atom, binary, int, list, tuple};

    #[test]
    fn an_answer_has_a_status_headers_and_a_body() {
        let respond = |status: i64, header: Term, body: Term| {
            to_socket(tuple([atom("respond"), int(status), list([header]), body]))
        };
        let header = || tuple([binary("name"), binary("value")]);
        let answer = Answer {
            status: 201,
            headers: vec![("name".to_owned(), b"value".to_vec())],
            body: vec![0, 255].into(),
        };
        assert_eq!(respond(201, header(), binary([0, 255])), Some(ToSocket::Respond(answer)));
        for nonsense in [
            respond(199, header(), binary("")),
            respond(600, header(), binary("")),
            respond(200, binary("name"), binary("")),
            respond(200, tuple([binary([255]), binary("value")]), binary("")),
            respond(200, tuple([atom("name"), binary("value")]), binary("")),
            respond(200, header(), int(1)),
        ] {
            assert_eq!(nonsense, None);
        }
    }
}
