//! Requests that the BEAM answers. What can be refused here is, before the BEAM hears of it; a request that waits
//! keeps nothing of what was asked.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::Response;
use bytes::Bytes;
use dist::term::{atom, binary, int, list, map, tuple};
use dist::{Target, Term};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::oneshot;

use super::{Client, RequestId, cors, errors};
use crate::beam::Minted;
use crate::config::Limits;
use crate::connect::told;
use crate::edge::Edge;
use crate::limits::Pass;
use crate::metrics::Refused;
use crate::pending::{Answer, Outcome};
use crate::router::Input;
use crate::socket::{ABNORMAL, Common};

/// What the BEAM is told of beside what it is told of sockets.
const ALSO_TOLD: [HeaderName; 3] = [header::ACCEPT, header::CONTENT_TYPE, header::IF_NONE_MATCH];

/// What says how bytes go over the connection is not the BEAM's to say.
const OWN: [HeaderName; 5] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::TRAILER];

/// A request that is the BEAM's to answer.
#[derive(Debug)]
pub struct Asked {
    answerer: Target,
    client: Client,
    id: Arc<str>,
}

impl Asked {
    /// None if it is not.
    pub fn of(edge: &Edge, request: &Request) -> Option<Asked> {
        let path = request.uri().path();
        let below = |prefix: &String| {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !edge.config.request_paths.iter().any(below) {
            return None;
        }
        let answerer = edge.config.answerer.clone()?;
        let extensions = request.extensions();
        let (client, RequestId(id)) = (extensions.get()?, extensions.get()?);
        Some(Asked { answerer, client: Client::clone(client), id: id.clone() })
    }
}

/// Answers a request.
pub async fn serve(edge: Arc<Edge>, asked: Asked, request: Request) -> Response {
    let Ok(origin) = origin(&edge, request.headers()) else {
        edge.common.metrics.refused(Refused::Origin);
        let sentence = "pages of this origin may not ask here: have the server allow it (CORS_ORIGINS)";
        return cors::vary(errors::error(StatusCode::FORBIDDEN, sentence));
    };
    let head = request.method() == Method::HEAD;
    let preflight = cors::is_preflight(request.method(), request.headers());
    let limits = &edge.common.limits;
    let admitted = admit(&edge, &asked, &request);
    let result = match admitted {
        Ok(()) if preflight => return cors::preflight(origin),
        // In a box, what it needed is gone when the waiting begins.
        Ok(()) => Box::pin(begin(&edge, asked, request)).await,
        Err(why) => Err(why),
    };
    let result = match result {
        Ok(asking) => asking.answer().await,
        Err(why) => Err(why),
    };
    let response = result.unwrap_or_else(|why| {
        edge.common.metrics.refused(why);
        refusal(why, limits)
    });
    cors::allow(finished(response, head), origin)
}

/// The page that asks, if one does and may.
fn origin(edge: &Edge, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refused> {
    let get = |name: HeaderName| headers.get(name).map(|value| value.as_bytes());
    let origin = get(header::ORIGIN);
    if !edge.config.origins.allow(origin, get(header::HOST)) {
        return Err(Refused::Origin);
    }
    // A copy: a part of the head would keep all of it while the request waits.
    Ok(origin.and_then(|origin| HeaderValue::from_bytes(origin).ok()))
}

fn admit(edge: &Edge, asked: &Asked, request: &Request) -> Result<(), Refused> {
    if !edge.request_rates.take(asked.client.peer.ip(), edge.common.now_ms()) {
        return Err(Refused::RequestRate);
    }
    if request.body().size_hint().lower() > edge.common.limits.request_bytes {
        return Err(Refused::BodyBytes);
    }
    Ok(())
}

/// Takes all of a request.
async fn begin(edge: &Edge, asked: Asked, request: Request) -> Result<Asking, Refused> {
    let pass = edge.requests.enter(asked.client.peer.ip()).map_err(|why| match why {
        Refused::PerIp => Refused::RequestsPerIp,
        _ => Refused::Requests,
    })?;
    let (parts, body) = request.into_parts();
    let body = read(body, &edge.common.limits).await?;
    let (waiting, outcome) = Waiting::new(edge.common.clone(), pass);
    let message = tuple([
        atom("gp_request"),
        waiting.minted.pid().into(),
        int(waiting.minted.key()),
        info(parts, &body, &asked),
    ]);
    Ok(Asking { waiting, outcome, answerer: asked.answerer, message })
}

async fn read(body: Body, limits: &Limits) -> Result<Bytes, Refused> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let body = Limited::new(body, limits.request_bytes as usize).collect();
    match tokio::time::timeout(Duration::from_millis(limits.body_ms), Box::pin(body)).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refused::BodyBytes),
        Ok(Err(_)) => Err(Refused::BadRequest),
        Err(_) => Err(Refused::BodyTimeout),
    }
}

fn info(parts: Parts, body: &Bytes, asked: &Asked) -> Term {
    // An answer to HEAD is that to GET without its body.
    let method = if parts.method == Method::HEAD { "GET" } else { parts.method.as_str() };
    map([
        (atom("method"), binary(method)),
        (atom("path"), binary(parts.uri.path())),
        (atom("query"), binary(parts.uri.query().unwrap_or_default())),
        (atom("headers"), list(told(&parts.headers, &ALSO_TOLD).collect::<Vec<_>>())),
        (atom("body"), binary(&body[..])),
        (atom("peer"), binary(asked.client.peer.to_string())),
        (atom("request_id"), binary(&*asked.id)),
    ])
}

/// A request that the BEAM has been told of. If this is dropped before its end, the client has gone.
struct Waiting {
    common: Arc<Common>,
    minted: Arc<dyn Minted>,
    end: Option<u16>,
    _pass: Pass,
}

impl Waiting {
    fn new(common: Arc<Common>, pass: Pass) -> (Waiting, oneshot::Receiver<Outcome>) {
        let minted = common.beam.mint();
        let (sender, outcome) = oneshot::channel();
        // Without a router the answer never comes, and that is the same.
        let _ = common.router.send(Input::Asked(minted.key(), sender));
        common.metrics.api_requests.one();
        common.metrics.api_waiting.add(1);
        (Waiting { common, minted, end: None, _pass: pass }, outcome)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let metrics = &self.common.metrics;
        metrics.api_waiting.add(-1);
        if self.end.is_none() {
            metrics.api_abandoned.one();
        }
        let code = self.end.unwrap_or(ABNORMAL);
        self.minted.exit(tuple([atom("closed"), int(code)]));
        if code == ABNORMAL {
            let _ = self.common.router.send(Input::Gone(self.minted.key()));
        }
    }
}

/// A request that the BEAM is to be told of.
struct Asking {
    waiting: Waiting,
    outcome: oneshot::Receiver<Outcome>,
    answerer: Target,
    message: Term,
}

impl Asking {
    async fn answer(self) -> Result<Response, Refused> {
        let Asking { mut waiting, outcome, answerer, message } = self;
        let patience = Duration::from_millis(waiting.common.limits.request_ms);
        let sending = waiting.minted.clone().send(answerer, message);
        let outcome = tokio::time::timeout(patience, async {
            sending.await.ok()?;
            outcome.await.ok()
        });
        let (code, result) = match outcome.await {
            Ok(Some(Outcome::Answered(answer))) => (1000, Ok(answer)),
            Ok(Some(Outcome::Crashed)) => (1011, Err(Refused::RequestCrashed)),
            Ok(Some(Outcome::Restart) | None) => (1012, Err(Refused::Draining)),
            Err(_) => (ABNORMAL, Err(Refused::RequestTimeout)),
        };
        waiting.end = Some(code);
        response(result?).ok_or_else(|| {
            waiting.common.metrics.refused(Refused::BadCommand);
            Refused::RequestCrashed
        })
    }
}

/// None if a header is none.
fn response(answer: Answer) -> Option<Response> {
    let status = StatusCode::from_u16(answer.status).ok()?;
    let bare = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut response = Response::new(if bare { Body::empty() } else { Body::from(answer.body) });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(&value).ok()?;
        if !OWN.contains(&name) {
            headers.append(name, value);
        }
    }
    Some(response)
}

/// What all answers have.
fn finished(mut response: Response, head: bool) -> Response {
    if !response.headers().contains_key(header::CACHE_CONTROL) {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if head {
        let length = response.body().size_hint().exact().unwrap_or_default();
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        *response.body_mut() = Body::empty();
    }
    response
}

/// What a client is told of a refusal.
fn refusal(why: Refused, limits: &Limits) -> Response {
    let many = |status, sentence: String, limit| {
        let again = "try again after the seconds in Retry-After";
        errors::retry_after(errors::limited(status, &format!("{sentence}: {again}"), limit), 1)
    };
    let again = |sentence| errors::retry_after(errors::error(StatusCode::SERVICE_UNAVAILABLE, sentence), 1);
    match why {
        Refused::RequestRate => {
            let limit = limits.request_rate;
            let sentence = format!("more than {limit} requests a second from this address");
            many(StatusCode::TOO_MANY_REQUESTS, sentence, limit)
        }
        Refused::RequestsPerIp => {
            let limit = limits.requests_per_ip;
            let sentence = format!("more than {limit} requests of this address wait for an answer");
            many(StatusCode::TOO_MANY_REQUESTS, sentence, limit)
        }
        Refused::Requests => {
            let limit = limits.requests;
            let sentence = format!("more than {limit} requests wait for an answer");
            many(StatusCode::SERVICE_UNAVAILABLE, sentence, limit)
        }
        Refused::BodyBytes => {
            let limit = limits.request_bytes;
            let sentence = format!("the body has more than {limit} bytes: send less at once");
            errors::limited(StatusCode::PAYLOAD_TOO_LARGE, &sentence, limit)
        }
        Refused::BodyTimeout => {
            let limit = limits.body_ms;
            let sentence = format!("the body did not come within {limit} ms: send it at once");
            errors::limited(StatusCode::REQUEST_TIMEOUT, &sentence, limit)
        }
        Refused::BadRequest => {
            errors::error(StatusCode::BAD_REQUEST, "the body ended early, or its chunks are none")
        }
        Refused::RequestTimeout => again("the server did not answer in time: try again"),
        Refused::RequestCrashed => errors::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server has failed at this request: what happened is in its log, under the X-Request-Id",
        ),
        _ => again("the server is starting or stopping: try again"),
    }
}
