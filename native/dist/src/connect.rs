//! Finding the BEAM and shaking hands with it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use erl_dist::epmd::{DEFAULT_EPMD_PORT, EpmdClient};
use erl_dist::handshake::{ClientSideHandshake, HandshakeError, HandshakeStatus};
use erl_dist::node::{Creation, LocalNode, NodeName};
use erl_dist::{DistributionFlags, LOWEST_DISTRIBUTION_PROTOCOL_VERSION};
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};

use crate::driver::Driver;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::stream::{Shared, Stream};
use crate::table::Table;

/// The BEAM gives up after seven seconds.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where a BEAM listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String, u16),
    /// The port that the epmd of this host knows for the BEAM.
    Epmd(String),
}

/// How to connect.
#[derive(Clone)]
pub struct Options {
    /// Where the BEAM listens.
    pub endpoint: Endpoint,
    /// The full name of the BEAM.
    pub peer: String,
    /// The full name of this node, which nobody else has.
    pub name: String,
    /// The secret that both share.
    pub cookie: String,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Options { endpoint, peer, name, cookie: _ } = self;
        write!(f, "Options {{ endpoint: {endpoint:?}, peer: {peer:?}, name: {name:?}, cookie: … }}")
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name of one of the nodes cannot be used.
    #[error("{name:?} is no node name ({reason}): give one like worker@127.0.0.1")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody listens.
    #[error("cannot reach the BEAM at {endpoint} ({error}): see that it runs and that the address is right")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// Why.
        error: io::Error,
    },
    /// No epmd, or it does not know the BEAM.
    #[error(
        "epmd on {host} {reason}: see that the BEAM was started with --name or --sname and that its name is \
         spelled as node() prints it"
    )]
    Epmd {
        /// The host of epmd.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// Another node listens there.
    #[error("the node that answered is {found}, expected {expected}: give its name, or another address")]
    OtherNode {
        /// Who answered.
        found: String,
        /// Who was expected.
        expected: String,
    },
    /// The BEAM has this very name, or shakes hands with a node of this name.
    #[error("the BEAM refuses the name {0} as in use (nok): choose another name for this node")]
    NameInUse(String),
    /// The BEAM takes other nodes only.
    #[error("the BEAM does not let {0} in (not_allowed): use the name that it expects")]
    NotAllowed(String),
    /// The cookies differ.
    #[error("the BEAM ended the handshake, or has another cookie: see that both have the same cookie")]
    Cookie,
    /// Somebody who speaks another protocol, or another version of it.
    #[error("the handshake failed ({0}): see that the address is a BEAM's of OTP 25 or newer")]
    Handshake(String),
    /// No answer.
    #[error("the BEAM did not answer the handshake within {} s: see whether it is stopped", HANDSHAKE.as_secs())]
    Timeout,
}

/// Connects to a BEAM as a hidden node. If the BEAM still has a connection to a node of this name, it is
/// replaced.
pub async fn connect(options: &Options) -> Result<(Node, Driver), ConnectError> {
    let name = node_name(&options.name)?;
    let peer = node_name(&options.peer)?;
    let connecting = async {
        let stream = open(&options.endpoint, &peer).await?;
        let creation = handshake(&stream, name, &peer, &options.cookie).await?;
        Ok((stream, creation))
    };
    let (stream, creation) =
        tokio::time::timeout(HANDSHAKE, connecting).await.unwrap_or(Err(ConnectError::Timeout))?;

    let (outbox, queue) = Outbox::new();
    let table = Arc::new(Table::new(options.name.clone(), options.peer.clone(), creation, outbox));
    let (reader, writer) = stream.into_halves();
    Ok((Node::new(table.clone()), Driver::new(table, reader, queue, writer)))
}

fn node_name(name: &str) -> Result<NodeName, ConnectError> {
    name.parse().map_err(|error: erl_dist::node::NodeNameError| ConnectError::Name {
        name: name.to_owned(),
        reason: error.to_string(),
    })
}

async fn open(endpoint: &Endpoint, peer: &NodeName) -> Result<Stream, ConnectError> {
    let unreachable = |endpoint: String| move |error| ConnectError::Unreachable { endpoint, error };
    match endpoint {
        Endpoint::Unix(path) => {
            let at = path.display().to_string();
            Ok(Stream::Unix(UnixStream::connect(path).await.map_err(unreachable(at))?))
        }
        Endpoint::Tcp(host, port) => tcp(host, *port).await.map_err(unreachable(format!("{host}:{port}"))),
        Endpoint::Epmd(host) => {
            let port = look_up(host, peer.name())
                .await
                .map_err(|reason| ConnectError::Epmd { host: host.clone(), reason })?;
            tcp(host, port).await.map_err(unreachable(format!("{host}:{port}")))
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<Stream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(stream))
}

async fn look_up(host: &str, name: &str) -> Result<u16, String> {
    let port = match std::env::var("ERL_EPMD_PORT") {
        Ok(port) => port.parse().map_err(|_| format!("has ERL_EPMD_PORT={port}, which is no port"))?,
        Err(_) => DEFAULT_EPMD_PORT,
    };
    let stream =
        tcp(host, port).await.map_err(|error| format!("does not answer at port {port} ({error})"))?;
    let entry = EpmdClient::new(Shared(&stream)).get_node(name).await.map_err(|error| error.to_string())?;
    Ok(entry.ok_or_else(|| format!("knows no node {name}"))?.port)
}

/// The flags of a hidden node that neither fragments nor caches atoms.
fn flags() -> DistributionFlags {
    DistributionFlags::mandatory()
        | DistributionFlags::DIST_MONITOR
        | DistributionFlags::DIST_MONITOR_NAME
        | DistributionFlags::ALIAS
        | DistributionFlags::EXIT_PAYLOAD
        | DistributionFlags::SEND_SENDER
        | DistributionFlags::SMALL_ATOM_TAGS
        | DistributionFlags::BIG_SEQTRACE_LABELS
}

/// Shakes hands; the answer is our creation.
async fn handshake(
    stream: &Stream,
    name: NodeName,
    peer: &NodeName,
    cookie: &str,
) -> Result<u32, ConnectError> {
    let text = name.to_string();
    // Zero to three have a meaning of their own.
    let creation = Creation::random().get().max(4);
    let mut local = LocalNode::new(name, Creation::new(creation));
    local.flags = flags();
    let mut handshake = ClientSideHandshake::new(Shared(stream), local, cookie);
    let status = handshake
        .execute_send_name(LOWEST_DISTRIBUTION_PROTOCOL_VERSION)
        .await
        .map_err(|error| ConnectError::Handshake(error.to_string()))?;
    match status {
        HandshakeStatus::Ok | HandshakeStatus::OkSimultaneous => {}
        HandshakeStatus::Nok => return Err(ConnectError::NameInUse(text)),
        HandshakeStatus::NotAllowed => return Err(ConnectError::NotAllowed(text)),
        // `erl_dist` prepares its answer and never sends it.
        HandshakeStatus::Alive => Shared(stream)
            .write_all(b"\x00\x05strue")
            .await
            .map_err(|error| ConnectError::Handshake(error.to_string()))?,
        HandshakeStatus::Named { .. } => {
            return Err(ConnectError::Handshake("it gave us a name unasked".to_owned()));
        }
    }
    let (_, found) = handshake.execute_rest(true).await.map_err(|error| match error {
        HandshakeError::CookieMismatch => ConnectError::Cookie,
        HandshakeError::Io(error)
            if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
        {
            ConnectError::Cookie
        }
        error => ConnectError::Handshake(error.to_string()),
    })?;
    if found.name != *peer {
        return Err(ConnectError::OtherNode { found: found.name.to_string(), expected: peer.to_string() });
    }
    Ok(creation)
}
