//! Letting a client in: what can be refused here is, and for the rest the BEAM is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, header};
use dist::Term;
use dist::term::{atom, binary, int, list, map, tuple};
use tokio::sync::oneshot;
use wire::phoenix::Vsn;

use crate::edge::Edge;
use crate::frames::Transport;
use crate::metrics::{Closed, Refused};
use crate::router::{Decision, Input};
use crate::socket::{ABNORMAL, Socket};

/// The most headers that the BEAM is told of.
const HEADERS: usize = 64;

/// A request to be let in.
#[derive(Debug)]
pub struct Asking<'a> {
    /// How.
    pub transport: Transport,
    /// The path that was asked for.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// A token that came in another way than by its header.
    pub token: Option<&'a str>,
    /// From where.
    pub peer: SocketAddr,
    /// The request's own id.
    pub request_id: &'a str,
}

/// Why a client is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Refused here: the page or the serializer is not served.
    Here(Refused),
    /// Refused by the BEAM, with this status and this body.
    ByBeam(u16, Vec<u8>),
    /// The BEAM does not answer, or goes down.
    Unavailable(Refused),
}

/// A socket that is not let in yet. If this is dropped, the client has gone.
struct Opening(Option<Arc<Socket>>);

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            socket.ended(ABNORMAL, Closed::Abandoned);
        }
    }
}

impl Opening {
    fn succeed(mut self) {
        self.0 = None;
    }

    fn end(mut self, code: u16, why: Closed) {
        if let Some(socket) = self.0.take() {
            socket.ended(code, why);
        }
    }
}

/// Asks the BEAM to let a client in.
pub async fn connect(edge: &Edge, asking: Asking<'_>) -> Result<Arc<Socket>, Denied> {
    let result = attempt(edge, asking).await;
    if let Err(denied) = &result {
        edge.common.metrics.refused(match denied {
            Denied::Here(why) | Denied::Unavailable(why) => *why,
            Denied::ByBeam(..) => Refused::Connect,
        });
    }
    result
}

async fn attempt(edge: &Edge, asking: Asking<'_>) -> Result<Arc<Socket>, Denied> {
    let header = |name: HeaderName| asking.headers.get(name).map(|value| value.as_bytes());
    if !edge.config.origins.allow(header(header::ORIGIN), header(header::HOST)) {
        return Err(Denied::Here(Refused::Origin));
    }
    let named = query_parameter(asking.query, "vsn");
    let vsn = Vsn::from_query(named.as_deref()).ok_or(Denied::Here(Refused::Vsn))?;
    let socket = Socket::new(edge.common.clone(), asking.transport, vsn);
    let (decision, decided) = oneshot::channel();
    // Without a router the answer never comes, and that is the same.
    let _ = edge.common.router.send(Input::Opened(socket.clone(), decision));
    let opening = Opening(Some(socket.clone()));
    let message = tuple([atom("gp_connect"), socket.minted.pid().into(), int(socket.id), info(&asking, vsn)]);
    let answer = async {
        socket.minted.clone().send(edge.config.acceptor.clone(), message).await.ok()?;
        decided.await.ok()
    };
    let patience = Duration::from_millis(edge.common.limits.connect_ms);
    match tokio::time::timeout(patience, answer).await {
        Ok(Some(Decision::Accepted)) => {
            opening.succeed();
            if let Some(connection) = socket.connection.get() {
                socket.minted.monitor(connection);
            }
            edge.common.metrics.connects.one();
            Ok(socket)
        }
        Ok(Some(Decision::Refused { status, body })) => {
            opening.end(1000, Closed::Refused);
            Err(Denied::ByBeam(status, body))
        }
        Ok(Some(Decision::Draining) | None) => Err(Denied::Unavailable(Refused::Draining)),
        Err(_) => Err(Denied::Unavailable(Refused::ConnectTimeout)),
    }
}

/// A parameter of a query; the last of its name, as Plug has it.
pub fn query_parameter(query: &str, name: &str) -> Option<String> {
    let mut parameters = query.rsplit('&').filter_map(|pair| pair.split_once('='));
    parameters.find(|(found, _)| *found == name).map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], code.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The headers that the BEAM is told of, and these.
pub fn told<'a>(headers: &'a HeaderMap, also: &'a [HeaderName]) -> impl Iterator<Item = Term> + 'a {
    headers
        .iter()
        .filter(|(name, _)| is_told(name) || also.contains(name))
        .map(|(name, value)| tuple([binary(name.as_str()), binary(value.as_bytes())]))
        .take(HEADERS)
}

fn is_told(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-")
        || matches!(
            *name,
            header::AUTHORIZATION
                | header::ORIGIN
                | header::USER_AGENT
                | header::HOST
                | header::COOKIE
                | header::ACCEPT_LANGUAGE
        )
}

fn info(asking: &Asking<'_>, vsn: Vsn) -> Term {
    let transport = match asking.transport {
        Transport::WebSocket => "websocket",
        Transport::LongPoll => "longpoll",
    };
    let token = asking.token.map(|token| tuple([binary("x-phoenix-authtoken"), binary(token)]));
    let headers = token.into_iter().chain(told(asking.headers, &[])).take(HEADERS);
    map([
        (atom("transport"), atom(transport)),
        (atom("path"), binary(asking.path)),
        (atom("query"), binary(asking.query)),
        (atom("headers"), list(headers.collect::<Vec<_>>())),
        (atom("peer"), binary(asking.peer.to_string())),
        (atom("vsn"), int(vsn.number())),
        (atom("request_id"), binary(asking.request_id)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_its_last_parameter_counts() {
        let vsn = |query| query_parameter(query, "vsn");
        assert_eq!(vsn("token=a&vsn=2.0.0").as_deref(), Some("2.0.0"));
        assert_eq!(vsn("vsn=1.0.0&vsn=2%2e0+0").as_deref(), Some("2.0 0"));
        assert_eq!(vsn("vsn=%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!((vsn("vsnx=1"), vsn(""), vsn("vsn")), (None, None, None));
    }
}
