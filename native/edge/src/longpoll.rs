//! Long polls, as Phoenix and its JavaScript client do them: a session is a socket whose frames wait for polls.
//! The status of HTTP is 200; the real one is in the body.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::connect::{Asking, Denied, connect, query_parameter};
use crate::edge::Edge;
use crate::frames::Transport;
use crate::http::errors::{error, retry_after, sentence};
use crate::http::{Client, RequestId, random_hex};
use crate::inbound::{self, Frame};
use crate::limits::{Bucket, Gate, Pass};
use crate::metrics::{Closed, Refused};
use crate::socket::{Close, Socket};

/// Messages in one body, as Phoenix has it.
const BATCH: usize = 100;

const TOKEN: HeaderName = HeaderName::from_static("x-phoenix-longpoll-token");

/// A session.
#[derive(Debug)]
struct Session {
    socket: Arc<Socket>,
    bucket: Mutex<Bucket>,
    _pass: Pass,
}

/// The sessions, by the token that nobody else knows.
#[derive(Debug)]
pub struct Sessions {
    by_token: Mutex<HashMap<String, Arc<Session>>>,
    gate: Arc<Gate>,
}

impl Sessions {
    /// None; there may be so many, and so many of one address.
    pub fn new(most: u64, most_of_one: u64) -> Self {
        Sessions { by_token: Mutex::default(), gate: Gate::new(most, most_of_one) }
    }

    fn get(&self, token: &str) -> Option<Arc<Session>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    fn put(&self, token: String, session: Arc<Session>) {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner).insert(token, session);
    }

    fn remove(&self, token: &str) {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }
}

/// Answers a request.
pub async fn serve(
    State(edge): State<Arc<Edge>>,
    Extension(client): Extension<Client>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let get = |name: HeaderName| parts.headers.get(name).map(|value| value.as_bytes());
    let query = parts.uri.query().unwrap_or_default();
    let mut response = if !edge.config.origins.allow(get(header::ORIGIN), get(header::HOST)) {
        edge.common.metrics.refused(Refused::Origin);
        status(StatusCode::FORBIDDEN)
    } else {
        let token = token(&parts.headers, query);
        let session = token.as_deref().and_then(|token| edge.sessions.get(token));
        match (parts.method.clone(), session) {
            (Method::OPTIONS, _) => preflight(&parts.headers),
            (Method::GET, Some(session)) => poll(&edge, &session, &token.unwrap_or_default()).await,
            (Method::GET, None) => {
                let asking = Asking {
                    transport: Transport::LongPoll,
                    path: parts.uri.path(),
                    query,
                    headers: &parts.headers,
                    token: None,
                    peer: client.peer,
                    request_id: &id,
                };
                open(&edge, asking).await
            }
            (Method::POST, Some(session)) => publish(&edge, &session, &parts.headers, body).await,
            (Method::POST, None) => {
                edge.common.metrics.refused(Refused::NoSession);
                status(StatusCode::GONE)
            }
            _ => {
                let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "poll with GET, send with POST");
                let allowed = HeaderValue::from_static("GET, POST, OPTIONS");
                response.headers_mut().insert(header::ALLOW, allowed);
                response
            }
        }
    };
    // The origin has been looked at.
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Newer clients send it as a header, older ones in the query.
fn token(headers: &HeaderMap, query: &str) -> Option<String> {
    match headers.get(TOKEN) {
        Some(token) => token.to_str().ok().map(str::to_owned),
        None => query_parameter(query, "token"),
    }
}

fn preflight(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    for asked in headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.append(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("get, post, options"));
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

fn status(status: StatusCode) -> Response {
    json(format!("{{\"status\":{}}}", status.as_u16()))
}

fn messages(status: StatusCode, token: &str, messages: &[Bytes]) -> Response {
    let mut body =
        format!("{{\"status\":{},\"token\":\"{token}\",\"messages\":[", status.as_u16()).into_bytes();
    for (n, message) in messages.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        let text = String::from_utf8_lossy(message);
        // Writing a string to memory does not fail.
        let _ = serde_json::to_writer(&mut body, &*text);
    }
    body.extend_from_slice(b"]}");
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

/// Begins a session. That it is gone is what a client without one is told: with the token of the new one.
async fn open(edge: &Arc<Edge>, asking: Asking<'_>) -> Response {
    let pass = match edge.sessions.gate.enter(asking.peer.ip()) {
        Ok(pass) => pass,
        Err(why) => {
            edge.common.metrics.refused(why);
            let status = match why {
                Refused::PerIp => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            return retry_after(error(status, sentence(status)), 5);
        }
    };
    let socket = match connect(edge, asking).await {
        Ok(socket) => socket,
        Err(Denied::Here(_)) => return status(StatusCode::FORBIDDEN),
        // What the client knows is that it may not, or that it should try again.
        Err(Denied::ByBeam(code, _)) if code < 500 => return status(StatusCode::FORBIDDEN),
        Err(_) => return status(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let token = random_hex::<24>();
    let bucket = Bucket::full(edge.common.limits.burst, edge.common.now_ms());
    let session = Session { socket: socket.clone(), bucket: Mutex::new(bucket), _pass: pass };
    edge.sessions.put(token.clone(), Arc::new(session));
    edge.common.metrics.longpolls.add(1);
    tokio::spawn(end(edge.clone(), token.clone(), socket));
    messages(StatusCode::GONE, &token, &[])
}

/// Waits for the end of a session, and ends it.
async fn end(edge: Arc<Edge>, token: String, socket: Arc<Socket>) {
    let close = socket.closed().await;
    edge.common.metrics.longpolls.add(-1);
    socket.ended(close.code, close.why);
    if !close.at_once && socket.has_frames() {
        // The next poll gets what was sent before.
        tokio::time::sleep(Duration::from_millis(edge.common.limits.poll_window_ms)).await;
    }
    edge.sessions.remove(&token);
}

/// Waits for messages.
async fn poll(edge: &Edge, session: &Session, token: &str) -> Response {
    let socket = &session.socket;
    socket.heard(edge.common.now_ms());
    let window = Duration::from_millis(edge.common.limits.poll_window_ms);
    let mut found = Vec::new();
    let waiting = async {
        loop {
            let taken = std::future::poll_fn(|cx| {
                let taken = socket.take(cx, usize::MAX, usize::MAX, |frame| found.push(frame));
                let nothing = found.is_empty() && taken.lagged.is_empty() && taken.close.is_none();
                if nothing { Poll::Pending } else { Poll::Ready(taken) }
            })
            .await;
            for (key, at) in taken.lagged {
                tell(socket, inbound::lagged(socket.id, &key, at)).await;
            }
            if !found.is_empty() {
                return StatusCode::OK;
            }
            if taken.close.is_some() {
                return StatusCode::GONE;
            }
        }
    };
    let status = tokio::time::timeout(window, waiting).await.unwrap_or(StatusCode::NO_CONTENT);
    socket.heard(edge.common.now_ms());
    let metrics = &edge.common.metrics;
    metrics.frames_out.add(found.len() as u64);
    metrics.bytes_out.add(found.iter().map(|frame| frame.len() as u64).sum());
    messages(status, token, &found)
}

async fn tell(socket: &Socket, term: dist::Term) {
    if let Some(connection) = socket.connection.get() {
        // If the BEAM is lost, all sockets are closed.
        let _ = socket.minted.clone().send(connection.into(), term).await;
    }
}

/// Takes messages of the client.
async fn publish(edge: &Edge, session: &Session, headers: &HeaderMap, body: Body) -> Response {
    let limits = &edge.common.limits;
    let body = Limited::new(body, limits.body_bytes() as usize).collect();
    let body = match tokio::time::timeout(Duration::from_millis(limits.body_ms), body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            edge.common.metrics.refused(Refused::BodyBytes);
            return status(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Ok(Err(_)) => return status(StatusCode::BAD_REQUEST),
        Err(_) => {
            edge.common.metrics.refused(Refused::BodyTimeout);
            return status(StatusCode::REQUEST_TIMEOUT);
        }
    };
    let batch = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-ndjson");
    let parts: Vec<&[u8]> = if batch {
        let lines = body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.filter(|line| !line.is_empty()).take(BATCH).collect()
    } else {
        vec![&body]
    };
    let all = async {
        for part in parts {
            if session.socket.is_closing() {
                return Err(StatusCode::GONE);
            }
            if let Some(term) = session.take(part, batch)? {
                tell(&session.socket, term).await;
            }
        }
        Ok(())
    };
    let window = Duration::from_millis(limits.poll_window_ms);
    match tokio::time::timeout(window, all).await {
        Ok(Ok(())) => status(StatusCode::OK),
        Ok(Err(why)) => status(why),
        Err(_) => status(StatusCode::REQUEST_TIMEOUT),
    }
}

impl Session {
    /// Reads one message; what is none ends the session.
    fn take(&self, part: &[u8], batch: bool) -> Result<Option<dist::Term>, StatusCode> {
        let most = self.socket.common.limits.message_bytes;
        let too_large = || Close::new(1009, "too large", Closed::TooLarge);
        let malformed = || Close::new(1011, "", Closed::Malformed);
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = match part.first() {
            Some(b'[' | b'{') => match std::str::from_utf8(part) {
                _ if part.len() as u64 > most => Err(too_large()),
                Ok(text) => inbound::take(&self.socket, &mut bucket, Frame::Text(text)),
                Err(_) => Err(Close::new(1007, "", Closed::BadUtf8)),
            },
            // Four letters for three bytes.
            Some(_) if batch && part.len() as u64 / 4 * 3 > most + 2 => Err(too_large()),
            Some(_) if batch => match STANDARD.decode(part) {
                Ok(bytes) if bytes.len() as u64 > most => Err(too_large()),
                Ok(bytes) => inbound::take(&self.socket, &mut bucket, Frame::Binary(&bytes)),
                Err(_) => Err(malformed()),
            },
            _ => Err(malformed()),
        };
        taken.map_err(|close| {
            let status = match close.why {
                Closed::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Closed::InputRate | Closed::BackpressureInput => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::BAD_REQUEST,
            };
            self.socket.close(close);
            status
        })
    }
}
