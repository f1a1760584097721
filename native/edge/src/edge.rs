//! An edge that listens: what its parts share, and how it starts and ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dist::Target;
use dist::term::{atom, int, tuple};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::sync::{mpsc, watch};

use crate::beam::Beam;
use crate::config::Config;
use crate::http;
use crate::limits::Gate;
use crate::longpoll::Sessions;
use crate::rates::Rates;
use crate::router::{self, FromBeam, Input, Router};
use crate::socket::Common;

/// Connections that wait to be taken.
const BACKLOG: u32 = 4096;

/// Batches of the BEAM that wait for the router, before the BEAM has to wait.
const BATCHES: usize = 64;

/// How often the watcher is told that the edge turns.
const BEAT: Duration = Duration::from_millis(100);

/// Why nobody listens.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is none.
    #[error("bind {bind:?} is no address of this machine ({error}): give one like 127.0.0.1 or 0.0.0.0")]
    Address {
        /// What was asked for.
        bind: String,
        /// What is wrong with it.
        error: io::Error,
    },
    /// Somebody else listens there.
    #[error(
        "port {port} at {bind} is taken: stop the program that listens there, or set another port (PORT)"
    )]
    Taken {
        /// The address.
        bind: String,
        /// The port.
        port: u16,
    },
    /// The system does not allow it.
    #[error("cannot listen at {bind}, port {port} ({error}): choose another port (PORT) or address (BIND)")]
    Refused {
        /// The address.
        bind: String,
        /// The port.
        port: u16,
        /// What the system says.
        error: io::Error,
    },
}

/// An edge that listens.
#[derive(Debug)]
pub struct Edge {
    /// How.
    pub config: Config,
    /// What sockets share.
    pub common: Arc<Common>,
    /// Connections.
    pub gate: Arc<Gate>,
    /// Requests that the BEAM has not answered yet.
    pub requests: Arc<Gate>,
    /// How fast requests for the BEAM come from each address.
    pub request_rates: Rates,
    /// Sessions of long polls.
    pub sessions: Sessions,
    /// Whether it goes down.
    pub draining: watch::Sender<bool>,
    /// How many sockets there are.
    open: watch::Receiver<usize>,
}

impl Edge {
    /// Listens; gives the edge, the port, and the way for what the BEAM says.
    pub async fn start(
        config: Config,
        beam: Arc<dyn Beam>,
    ) -> Result<(Arc<Edge>, u16, mpsc::Sender<FromBeam>), ListenError> {
        let listener = listen(&config.bind, config.port).await?;
        let port = listener.local_addr().map_or(config.port, |address| address.port());
        let (router, inputs) = mpsc::unbounded_channel();
        let (from_beam, batches) = mpsc::channel(BATCHES);
        let common = Common::new(config.limits, beam, router);
        let (sockets, open) = watch::channel(0);
        let (draining, _) = watch::channel(false);
        let edge = Arc::new(Edge {
            gate: Gate::new(config.limits.max_connections, config.limits.per_ip),
            requests: Gate::new(config.limits.requests, config.limits.requests_per_ip),
            request_rates: Rates::new(config.limits.request_rate, config.limits.request_burst),
            sessions: Sessions::new(config.limits.max_connections, config.limits.per_ip),
            common: common.clone(),
            draining,
            open,
            config,
        });
        if let Some(watcher) = edge.config.watcher.clone() {
            tokio::spawn(beat(common.clone(), watcher));
        }
        tokio::spawn(router::run(Router::new(common, sockets), inputs, batches));
        tokio::spawn(http::server::accept(edge.clone(), listener));
        Ok((edge, port, from_beam))
    }

    /// Takes no more connections and closes all; waits until they are closed, but not longer than this.
    pub async fn drain(&self, most: Duration) {
        self.draining.send_replace(true);
        let _ = self.common.router.send(Input::Drain);
        let mut open = self.open.clone();
        let metrics = &self.common.metrics;
        let all_closed = async {
            let _ = open.wait_for(|open| *open == 0).await;
            // Answers that are being written.
            while metrics.connections.get() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(most, all_closed).await;
    }
}

/// Tells how often the router has turned: a router that hangs is one that does not.
async fn beat(common: Arc<Common>, watcher: Target) {
    let minted = common.beam.mint();
    let mut every = tokio::time::interval(BEAT);
    loop {
        every.tick().await;
        let turns = common.turns.load(Relaxed);
        let beat = tuple([atom("gp_beat"), int(turns)]);
        if minted.clone().send(watcher.clone(), beat).await.is_err() {
            return;
        }
    }
}

async fn listen(bind: &str, port: u16) -> Result<TcpListener, ListenError> {
    let address = |error| ListenError::Address { bind: bind.to_owned(), error };
    let found: Option<SocketAddr> = lookup_host((bind, port)).await.map_err(address)?.next();
    let Some(at) = found else { return Err(address(io::ErrorKind::NotFound.into())) };
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { bind: bind.to_owned(), port },
        io::ErrorKind::AddrNotAvailable => address(error),
        _ => ListenError::Refused { bind: bind.to_owned(), port, error },
    };
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(refused)?;
    socket.set_reuseaddr(true).map_err(refused)?;
    socket.bind(at).map_err(refused)?;
    socket.listen(BACKLOG).map_err(refused)
}
