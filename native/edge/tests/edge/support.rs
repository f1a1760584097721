//! A BEAM that the test plays.

mod client;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dist::term::{as_atom, as_binary, as_int, as_tuple, atom, tuple};
use dist::{Pid, Target, Term};
use gp_edge::beam::{Beam, Minted, Sending};
use gp_edge::commands::{Body, Command, ToSocket};
use gp_edge::config::Config;
use gp_edge::edge::Edge;
use gp_edge::metrics::{Closed, Refused};
use gp_edge::router::FromBeam;
use tokio::sync::{mpsc, watch};

pub use client::{Answer, Client, frame, text_frame};

/// Only to notice a test that hangs.
pub const WATCHDOG: Duration = Duration::from_secs(20);

pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(WATCHDOG, future).await.expect("it took too long")
}

/// What the edge did to the BEAM.
#[derive(Debug)]
pub enum Told {
    Sent { to: Target, message: Term },
    Monitored(u64, Pid),
    Exited(u64, Term),
}

#[derive(Debug, Clone)]
struct FakeBeam {
    minted: Arc<AtomicU64>,
    told: mpsc::UnboundedSender<Told>,
    /// Whether the BEAM reads.
    reads: watch::Receiver<bool>,
}

#[derive(Debug)]
struct FakeProcess {
    key: u64,
    beam: FakeBeam,
}

impl Beam for FakeBeam {
    fn mint(&self) -> Arc<dyn Minted> {
        let key = self.minted.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(FakeProcess { key, beam: self.clone() })
    }
}

impl Minted for FakeProcess {
    fn pid(&self) -> Pid {
        Pid::new("edge@h", self.key as u32, 0, 1)
    }

    fn key(&self) -> u64 {
        self.key
    }

    fn send(self: Arc<Self>, to: Target, message: Term) -> Sending {
        Box::pin(async move {
            let _ = self.beam.reads.clone().wait_for(|reads| *reads).await;
            let _ = self.beam.told.send(Told::Sent { to, message });
            Ok(())
        })
    }

    fn monitor(&self, pid: &Pid) {
        let _ = self.beam.told.send(Told::Monitored(self.key, pid.clone()));
    }

    fn exit(&self, reason: Term) {
        let _ = self.beam.told.send(Told::Exited(self.key, reason));
    }
}

/// An edge, and the BEAM's side of it.
pub struct Server {
    pub port: u16,
    pub edge: Arc<Edge>,
    pub told: mpsc::UnboundedReceiver<Told>,
    pub commands: mpsc::Sender<FromBeam>,
    pub reads: watch::Sender<bool>,
}

/// A message of a client as the BEAM gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct In {
    pub id: u64,
    pub join_ref: Option<String>,
    pub reference: Option<String>,
    pub topic: String,
    pub event: String,
    pub body: Body,
}

pub fn acceptor() -> Pid {
    Pid::new("beam@h", 1, 0, 1)
}

pub fn connection_of(id: u64) -> Pid {
    Pid::new("beam@h", 1000 + id as u32, 0, 1)
}

fn text(term: &Term) -> String {
    String::from_utf8(as_binary(term).unwrap_or_else(|| panic!("{term} is no binary")).to_vec()).unwrap()
}

fn optional(term: &Term) -> Option<String> {
    if as_atom(term) == Some("nil") { None } else { Some(text(term)) }
}

/// The entries of a map of atoms.
pub fn entries(term: &Term) -> HashMap<String, Term> {
    let Term::Map(map) = term else { panic!("{term} is no map") };
    map.map.iter().map(|(key, value)| (as_atom(key).unwrap().to_owned(), value.clone())).collect()
}

impl Server {
    pub async fn start(change: impl FnOnce(&mut Config)) -> Server {
        let mut config = Config::new(acceptor());
        // This BEAM handles nothing.
        (config.limits.input_messages, config.limits.input_bytes) = (u64::MAX, u64::MAX);
        change(&mut config);
        let (told, receiver) = mpsc::unbounded_channel();
        let (reads, watched) = watch::channel(true);
        let beam = FakeBeam { minted: Arc::default(), told, reads: watched };
        let (edge, port, commands) = Edge::start(config, Arc::new(beam)).await.unwrap();
        Server { port, edge, told: receiver, commands, reads }
    }

    /// What the edge did next.
    pub async fn next(&mut self) -> Told {
        soon(self.told.recv()).await.unwrap()
    }

    /// The id and the rest of the next connection that asks.
    pub async fn asked(&mut self) -> (u64, HashMap<String, Term>) {
        match self.next().await {
            Told::Sent { to, message } if to == Target::from(acceptor()) => {
                let parts = as_tuple(&message).unwrap().to_vec();
                assert_eq!(as_atom(&parts[0]), Some("gp_connect"));
                assert!(matches!(parts[1], Term::Pid(_)));
                (as_int(&parts[2]).unwrap() as u64, entries(&parts[3]))
            }
            other => panic!("{other:?}"),
        }
    }

    pub async fn send(&self, commands: impl IntoIterator<Item = Command>) {
        let batch = commands.into_iter().map(Some).collect();
        self.commands.send(FromBeam::Commands(batch)).await.unwrap();
    }

    pub async fn accept(&mut self) -> u64 {
        let (id, _) = self.asked().await;
        self.send([Command::Accept { id, connection: connection_of(id) }]).await;
        match self.next().await {
            Told::Monitored(monitor, pid) => assert_eq!((monitor, pid), (id, connection_of(id))),
            other => panic!("{other:?}"),
        }
        id
    }

    /// A WebSocket that has been let in.
    pub async fn connect(&mut self) -> (Client, u64) {
        self.connect_to("/socket/websocket?vsn=2.0.0").await
    }

    pub async fn connect_to(&mut self, path: &str) -> (Client, u64) {
        let mut client = Client::open(self.port).await;
        client.ask(path, &[]).await;
        let id = self.accept().await;
        let response = client.response().await;
        assert_eq!(response.status, 101, "{response:?}");
        (client, id)
    }

    /// As `connect`, after the end of another socket.
    pub async fn connect_after_exit(&mut self) -> (Client, u64) {
        self.exited().await;
        self.connect().await
    }

    /// The next message of a client.
    pub async fn receive(&mut self) -> In {
        match self.next().await {
            Told::Sent { to, message } => {
                let parts = as_tuple(&message).unwrap();
                assert_eq!((as_atom(&parts[0]), parts.len()), (Some("gp_in"), 7), "{message}");
                let id = as_int(&parts[1]).unwrap() as u64;
                assert_eq!(to, Target::from(connection_of(id)));
                let [kind, payload] = as_tuple(&parts[6]).unwrap() else { panic!("{message}") };
                let body = match as_atom(kind) {
                    Some("json") => Body::Json(text(payload)),
                    Some("binary") => Body::Binary(as_binary(payload).unwrap().to_vec()),
                    _ => panic!("{message}"),
                };
                In {
                    id,
                    join_ref: optional(&parts[2]),
                    reference: optional(&parts[3]),
                    topic: text(&parts[4]),
                    event: text(&parts[5]),
                    body,
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next report of a subscription that fell behind.
    pub async fn lagged(&mut self) -> (u64, String, Option<i64>) {
        match self.next().await {
            Told::Sent { message, .. } => {
                let parts = as_tuple(&message).unwrap();
                assert_eq!((as_atom(&parts[0]), parts.len()), (Some("gp_lagged"), 4), "{message}");
                (as_int(&parts[1]).unwrap() as u64, text(&parts[2]), as_int(&parts[3]))
            }
            other => panic!("{other:?}"),
        }
    }

    /// The code by which the next socket ends.
    pub async fn exited(&mut self) -> (u64, u16) {
        match self.next().await {
            Told::Exited(id, reason) => {
                let [kind, code] = as_tuple(&reason).unwrap() else { panic!("{reason}") };
                assert_eq!(as_atom(kind), Some("closed"));
                (id, as_int(code).unwrap() as u16)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Waits until so many requests have come, and each waits for something.
    pub async fn requests(&self, count: u64) {
        // The tests have one thread, where a request is counted and served up to its first wait in one go.
        let come = async {
            while self.edge.common.metrics.requests.get() < count {
                tokio::task::yield_now().await;
            }
        };
        soon(come).await;
    }

    pub fn closed(&self, why: Closed) -> u64 {
        self.edge.common.metrics.times_closed(why)
    }

    pub fn refused(&self, why: Refused) -> u64 {
        self.edge.common.metrics.times_refused(why)
    }
}

pub fn push(id: u64, topic: &str, json: impl Into<String>) -> Command {
    Command::To(id, plain_push(topic, json))
}

pub fn plain_push(topic: &str, json: impl Into<String>) -> ToSocket {
    ToSocket::Push {
        join_ref: None,
        reference: None,
        topic: topic.to_owned(),
        event: "e".to_owned(),
        body: Body::Json(json.into()),
    }
}

pub fn close(id: u64, code: u16, reason: &str) -> Command {
    Command::To(id, ToSocket::Close { code, reason: reason.to_owned() })
}

pub fn subscribe(id: u64, key: &str, at: Option<i64>) -> Command {
    Command::Subscribe { id, key: key.into(), at }
}

/// To all with the key `key`, on a topic of that name.
pub fn broadcast(key: &str, json: impl Into<String>, stream: Option<(i64, i64)>) -> Command {
    Command::Broadcast {
        key: key.into(),
        topic: key.to_owned(),
        event: "e".to_owned(),
        body: Body::Json(json.into()),
        except: None,
        stream,
    }
}

pub fn shutdown(reason: &str) -> Term {
    tuple([atom("shutdown"), atom(reason)])
}
