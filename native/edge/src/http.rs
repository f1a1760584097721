//! What is served over HTTP: sockets, health, static files, and errors as JSON.

pub mod cors;
pub mod errors;
pub mod files;
pub mod io;
pub mod requests;
pub mod server;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};

use crate::connect::{Asking, Denied, connect};
use crate::edge::Edge;
use crate::frames::Transport;
use crate::longpoll;
use crate::metrics::Refused;
use crate::socket::Socket;
use crate::ws::handshake::{self, Handshake, NoHandshake};
use errors::error;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The connection that a request came by.
#[derive(Debug, Clone)]
pub struct Client {
    /// From where.
    pub peer: SocketAddr,
    /// Where a socket is put that goes on as a WebSocket.
    pub upgraded: Arc<Mutex<Option<Arc<Socket>>>>,
}

/// What a request is called in every log.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

/// All routes.
pub fn router(edge: &Arc<Edge>) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(health))
        .route("/health", any(elsewhere))
        .route("/metrics", any(elsewhere));
    for path in &edge.config.socket_paths {
        router = router
            .route(path, any(websocket))
            .route(&format!("{path}/websocket"), any(websocket))
            .route(&format!("{path}/longpoll"), any(longpoll::serve));
    }
    let folder = Arc::new(edge.config.files.clone());
    router
        .fallback(move |State(edge): State<Arc<Edge>>, request: Request| {
            let folder = folder.clone();
            async move {
                // Neither has to keep the room that the other needs.
                match requests::Asked::of(&edge, &request) {
                    Some(asked) => Box::pin(requests::serve(edge, asked, request)).await,
                    None => Box::pin(files::serve(folder, request)).await,
                }
            }
        })
        .method_not_allowed_fallback(async || {
            error(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods")
        })
        .layer(middleware::from_fn_with_state(edge.clone(), around))
        .with_state(edge.clone())
}

/// What is common to all requests.
async fn around(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let limits = &edge.common.limits;
    edge.common.metrics.requests.one();
    let id = request_id(request.headers());
    let value = HeaderValue::from_str(&id).ok();
    request.extensions_mut().insert(RequestId(id));
    let url = request.uri().path_and_query().map_or(0, |url| url.as_str().len()) as u64;
    let too_large = if url > limits.url_bytes {
        edge.common.metrics.refused(Refused::UrlBytes);
        Some(StatusCode::URI_TOO_LONG)
    } else if size(request.headers()) > limits.header_bytes {
        edge.common.metrics.refused(Refused::HeaderBytes);
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        None
    };
    let head = request.method() == Method::HEAD;
    let mut response = match too_large {
        Some(status) => error(status, errors::sentence(status)),
        None => errors::as_json(next.run(request).await, head),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(value) = value {
        headers.insert(REQUEST_ID, value);
    }
    response
}

/// As it would be on the wire.
fn size(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}

fn request_id(headers: &HeaderMap) -> Arc<str> {
    let fits = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(fits) {
        Some(id) => id.into(),
        None => random_hex::<12>().into(),
    }
}

/// So many bytes that nobody can guess, in hexadecimal.
pub fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    // Without randomness of the system nothing here may go on: tokens would be guessed.
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn health() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}

async fn elsewhere() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "health and metrics are on the admin port (ADMIN_PORT, 4001 if it is not set)",
    )
}

async fn websocket(
    State(edge): State<Arc<Edge>>,
    Extension(client): Extension<Client>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Request,
) -> Response {
    if request.method() != Method::GET {
        let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is asked for with GET");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let handshake = match handshake::read(request.version(), request.headers()) {
        Ok(handshake) => handshake,
        Err(reason) => {
            edge.common.metrics.refused(Refused::Handshake);
            return no_handshake(reason);
        }
    };
    let asking = Asking {
        transport: Transport::WebSocket,
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
        token: handshake.token.as_deref(),
        peer: client.peer,
        request_id: &id,
    };
    match connect(&edge, asking).await {
        Ok(socket) => {
            *client.upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
            switching(handshake)
        }
        Err(denied) => refused(denied),
    }
}

fn switching(handshake: Handshake) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, handshake.accept);
    if let Some(protocol) = handshake.protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

fn no_handshake(reason: NoHandshake) -> Response {
    match reason {
        NoHandshake::Malformed(reason) => error(StatusCode::BAD_REQUEST, reason),
        NoHandshake::NotAsked => {
            let sentence = "connect with a WebSocket, or poll at the path that ends with /longpoll";
            let mut response = error(StatusCode::UPGRADE_REQUIRED, sentence);
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            response
        }
        NoHandshake::Version => {
            let mut response =
                error(StatusCode::UPGRADE_REQUIRED, "version 13 of the protocol is spoken here");
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            response
        }
    }
}

fn refused(denied: Denied) -> Response {
    match denied {
        Denied::Here(Refused::Origin) => error(StatusCode::FORBIDDEN, "pages of this origin may not connect"),
        Denied::Here(_) => error(StatusCode::FORBIDDEN, "vsn is expected to be 1.0.0 or 2.0.0"),
        Denied::ByBeam(status, body) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Denied::Unavailable(_) => errors::retry_after(
            error(StatusCode::SERVICE_UNAVAILABLE, "the server is starting or stopping: try again"),
            1,
        ),
    }
}
