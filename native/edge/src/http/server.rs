//! Taking connections, and serving each until it ends or goes on as a WebSocket.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::{Client, errors, io::Io};
use crate::edge::Edge;
use crate::limits::Pass;
use crate::metrics::{Closed, Refused};
use crate::socket::ABNORMAL;
use crate::ws::task;

/// How long a connection that is refused, or was answered before all of it was read, is listened to, so that the
/// answer arrives.
const LINGER: Duration = Duration::from_millis(500);

/// So many linger at once; more are dropped.
const LINGERING: usize = 256;

/// How long taking connections pauses when the system gives no descriptors.
const PAUSE: Duration = Duration::from_millis(50);

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// Takes connections until the edge goes down.
pub async fn accept(edge: Arc<Edge>, listener: TcpListener) {
    let router = super::router(&edge);
    let lingering = Arc::new(Semaphore::new(LINGERING));
    let mut draining = edge.draining.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // Who gave up while waiting is no trouble; without descriptors there is time until one is free.
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        edge.common.metrics.accepted.one();
        match edge.gate.enter(peer.ip()) {
            Ok(pass) => {
                let (edge, router) = (edge.clone(), router.clone());
                tokio::spawn(async move {
                    edge.common.metrics.connections.add(1);
                    serve(&edge, router, stream, peer, pass).await;
                    edge.common.metrics.connections.add(-1);
                });
            }
            Err(why) => {
                edge.common.metrics.refused(why);
                if let Ok(permit) = lingering.clone().try_acquire_owned() {
                    tokio::spawn(async move {
                        refuse(stream, why).await;
                        drop(permit);
                    });
                }
            }
        }
    }
}

async fn refuse(mut stream: TcpStream, why: Refused) {
    let status = match why {
        Refused::PerIp => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    if stream.write_all(&errors::raw(status, Some(5))).await.is_ok() {
        linger(stream).await;
    }
}

/// Ends a connection in such a way that what was written arrives.
pub async fn linger(mut stream: TcpStream) {
    let read = async {
        let _ = stream.shutdown().await;
        let mut buffer = [0; 1024];
        // The time is bounded, so the bytes are.
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    let _ = tokio::time::timeout(LINGER, read).await;
}

async fn serve(edge: &Arc<Edge>, router: Router, stream: TcpStream, peer: SocketAddr, pass: Pass) {
    let common = edge.common.clone();
    let limits = &common.limits;
    // Latency is worth more than a packet.
    let _ = stream.set_nodelay(true);
    let client = Client { peer, upgraded: Arc::default() };
    let upgraded = client.upgraded.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(client.clone());
        let answer: Answer = Box::pin(router.clone().oneshot(request.map(Body::new)));
        answer
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_ms))
        // A little more than is allowed, so that what is a little more is refused in our own words.
        .max_buf_size((limits.header_bytes + limits.url_bytes) as usize + 8192)
        .serve_connection(TokioIo::new(Io::new(stream, common.clone())), service);

    let mut draining = edge.draining.subscribe();
    let result = {
        let mut drain = pin!(async move { draining.wait_for(|draining| *draining).await.is_ok() });
        let mut drained = false;
        poll_fn(|cx| {
            if !drained && drain.as_mut().poll(cx).is_ready() {
                drained = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(cx)
        })
        .await
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().into_inner();
    let socket = upgraded.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (result, socket) {
        // A task of its own has no room for what HTTP needed.
        (Ok(()), Some(socket)) => drop(tokio::spawn(task::run(socket, stream, parts.read_buf, pass))),
        (Err(_), Some(socket)) => socket.ended(ABNORMAL, Closed::Abandoned),
        // All was read.
        (Ok(()), None) if *edge.draining.borrow() => drop(stream.shutdown().await),
        (Ok(()), None) => linger(stream).await,
        (Err(error), None) if error.is_timeout() => {
            // A client that says nothing between two requests is not told why it has to go.
            if !parts.read_buf.is_empty() {
                common.metrics.refused(Refused::HeaderTimeout);
                let _ = stream.write_all(&errors::raw(StatusCode::REQUEST_TIMEOUT, None)).await;
            }
            linger(stream).await;
        }
        (Err(error), None) if error.is_parse() => linger(stream).await,
        (Err(_), None) => {}
    }
}
