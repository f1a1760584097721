//! Who is connected and who has subscribed to what. One task owns it, so nothing is locked while a broadcast goes
//! to thousands; what it does to a socket is to put shared frames in its queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use dist::Term;
use dist::term::{as_atom, as_tuple};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::sync::{oneshot, watch};
use wire::phoenix::Message;

use crate::commands::{Command, ToSocket};
use crate::frames::Shared;
use crate::metrics::{Closed, Refused};
use crate::pending::{Outcome, Pending};
use crate::socket::{Close, Common, Place, Pushed, Socket, refusal};

/// How often it counts that it turns.
const TURN: Duration = Duration::from_millis(50);

/// Whether a client may connect.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may; its socket knows the process that is told of it.
    Accepted,
    /// It may not.
    Refused {
        /// The status of the answer.
        status: u16,
        /// Its body, JSON.
        body: Vec<u8>,
    },
    /// The edge goes down.
    Draining,
}

/// What the edge itself tells the router.
#[derive(Debug)]
pub enum Input {
    /// A client asks to be let in.
    Opened(Arc<Socket>, oneshot::Sender<Decision>),
    /// A request that the BEAM is about to be told of.
    Asked(u64, oneshot::Sender<Outcome>),
    /// A socket has ended, or nobody waits for the answer to a request any more.
    Gone(u64),
    /// Close all, and let nobody in any more.
    Drain,
}

/// What the BEAM tells the router.
#[derive(Debug)]
pub enum FromBeam {
    /// A batch, with the nonsense in it.
    Commands(Vec<Option<Command>>),
    /// For one socket, by its pid.
    To(u64, ToSocket),
    /// The process that a socket monitors has ended.
    Down(u64, Term),
    /// An exit signal for a socket.
    Exit(u64, Term),
}

#[derive(Debug)]
struct Entry {
    socket: Arc<Socket>,
    decision: Option<oneshot::Sender<Decision>>,
    keys: Vec<Arc<[u8]>>,
}

#[derive(Debug)]
struct Subscriber {
    socket: Arc<Socket>,
    /// The tick of the last frame of a stream in its queue.
    at: Option<i64>,
    lagging: bool,
}

/// The state of the router.
#[derive(Debug)]
pub struct Router {
    common: Arc<Common>,
    sockets: HashMap<u64, Entry>,
    topics: HashMap<Arc<[u8]>, HashMap<u64, Subscriber>>,
    requests: Pending,
    draining: bool,
    /// How many sockets there are, for who waits for the last to go.
    open: watch::Sender<usize>,
}

/// Runs the router until the edge lets go of it.
pub async fn run(mut router: Router, mut inputs: UnboundedReceiver<Input>, mut beam: Receiver<FromBeam>) {
    let mut sweep = tokio::time::interval(router.common.limits.sweep());
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = tokio::time::interval(TURN);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // A socket is known before the BEAM is told of it, so what the edge says comes first.
        tokio::select! {
            biased;
            input = inputs.recv() => match input {
                Some(input) => router.input(input),
                None => return,
            },
            _ = sweep.tick() => router.sweep(),
            _ = turn.tick() => drop(router.common.turns.fetch_add(1, Relaxed)),
            Some(message) = beam.recv() => router.beam(message),
        }
    }
}

impl Router {
    /// Nobody is connected.
    pub fn new(common: Arc<Common>, open: watch::Sender<usize>) -> Self {
        let requests = Pending::default();
        Router { common, sockets: HashMap::new(), topics: HashMap::new(), requests, draining: false, open }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Opened(_, decision) if self.draining => {
                let _ = decision.send(Decision::Draining);
            }
            Input::Opened(socket, decision) => {
                let entry = Entry { socket: socket.clone(), decision: Some(decision), keys: Vec::new() };
                self.sockets.insert(socket.id, entry);
            }
            Input::Asked(_, waiting) if self.draining => {
                let _ = waiting.send(Outcome::Restart);
            }
            Input::Asked(id, waiting) => self.requests.add(id, waiting),
            Input::Gone(id) => self.remove(id),
            Input::Drain => {
                self.draining = true;
                self.requests.restart();
                for entry in self.sockets.values_mut() {
                    entry.socket.close(restart());
                    decide(entry, Decision::Draining);
                }
            }
        }
        self.open.send_replace(self.sockets.len());
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.sockets.remove(&id) else { return self.requests.remove(id) };
        for key in entry.keys {
            self.unsubscribe(id, &key);
        }
        if self.sockets.is_empty() {
            self.sockets = HashMap::new();
        }
    }

    fn sweep(&self) {
        let now = self.common.now_ms();
        self.sockets.values().for_each(|entry| entry.socket.sweep(now));
    }

    fn beam(&mut self, message: FromBeam) {
        match message {
            FromBeam::Commands(commands) => {
                self.common.metrics.commands.add(commands.len() as u64);
                for command in commands {
                    match command {
                        Some(command) => self.command(command),
                        None => self.common.metrics.refused(Refused::BadCommand),
                    }
                }
            }
            FromBeam::To(id, command) => self.tell(id, command),
            FromBeam::Down(id, reason) => self.close(id, ended(&reason)),
            FromBeam::Exit(id, reason) if self.requests.exit(id, &reason) => {}
            FromBeam::Exit(id, reason) => self.close(id, exit(&reason)),
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Accept { id, connection } => match self.sockets.get_mut(&id) {
                Some(entry) => {
                    let _ = entry.socket.connection.set(connection);
                    decide(entry, Decision::Accepted);
                }
                None => self.stale(),
            },
            Command::Refuse { id, status, body } => match self.sockets.get_mut(&id) {
                Some(entry) => decide(entry, Decision::Refused { status, body }),
                None => self.stale(),
            },
            Command::To(id, command) => self.tell(id, command),
            Command::Subscribe { id, key, at } => self.subscribe(id, key, at),
            Command::Unsubscribe { id, key } => {
                let Some(entry) = self.sockets.get_mut(&id) else { return self.stale() };
                let ends = |known: &[u8]| match known.strip_prefix(&key[..]) {
                    // The streams of a topic end with it.
                    Some(rest) => rest.is_empty() || rest.starts_with(b"#"),
                    None => false,
                };
                let (ended, kept) = std::mem::take(&mut entry.keys).into_iter().partition(|key| ends(key));
                entry.keys = kept;
                let ended: Vec<Arc<[u8]>> = ended;
                ended.iter().for_each(|key| entry.socket.forget_lag(key));
                ended.iter().for_each(|key| self.unsubscribe(id, key));
            }
            Command::Broadcast { key, topic, event, body, except, stream } => {
                let message = Message::Broadcast { topic: &topic, event: &event, payload: body.payload() };
                self.broadcast(&key, message, except, stream);
            }
        }
    }

    fn stale(&self) {
        self.common.metrics.stale_commands.one();
    }

    fn close(&self, id: u64, close: Close) {
        match self.sockets.get(&id) {
            Some(entry) => entry.socket.close(close),
            None => self.stale(),
        }
    }

    fn tell(&mut self, id: u64, command: ToSocket) {
        if let ToSocket::Respond(answer) = command {
            if !self.requests.settle(id, Outcome::Answered(answer)) {
                self.stale();
            }
            return;
        }
        let Some(Entry { socket, .. }) = self.sockets.get(&id) else { return self.stale() };
        match &command {
            ToSocket::Push { join_ref, reference, topic, event, body } => {
                socket.send(&Message::Push {
                    join_ref: join_ref.as_deref(),
                    reference: reference.as_deref(),
                    topic,
                    event,
                    payload: body.payload(),
                });
            }
            ToSocket::Reply { join_ref, reference, topic, status, body } => {
                socket.send(&Message::Reply {
                    join_ref: join_ref.as_deref(),
                    reference: reference.as_deref(),
                    topic,
                    status,
                    payload: body.payload(),
                });
            }
            ToSocket::Handled { messages, bytes } => socket.handled(*messages, *bytes),
            ToSocket::Close { code, reason } => {
                socket.close(Close::new(*code, reason.as_str(), Closed::Server));
            }
            // No socket is a request.
            ToSocket::Respond(_) => {}
        }
    }

    fn subscribe(&mut self, id: u64, key: Vec<u8>, at: Option<i64>) {
        let Some(entry) = self.sockets.get_mut(&id) else { return self.stale() };
        let key: Arc<[u8]> = match self.topics.get_key_value(key.as_slice()) {
            Some((known, _)) => known.clone(),
            None => key.into(),
        };
        entry.socket.forget_lag(&key);
        let subscribers = self.topics.entry(key.clone()).or_insert_with(|| {
            self.common.metrics.keys.add(1);
            HashMap::new()
        });
        let subscriber = Subscriber { socket: entry.socket.clone(), at, lagging: false };
        if subscribers.insert(id, subscriber).is_none() {
            entry.keys.push(key);
            self.common.metrics.subscriptions.add(1);
        }
    }

    fn unsubscribe(&mut self, id: u64, key: &[u8]) {
        let Some(subscribers) = self.topics.get_mut(key) else { return self.stale() };
        if subscribers.remove(&id).is_some() {
            self.common.metrics.subscriptions.add(-1);
        }
        if subscribers.is_empty() {
            self.topics.remove(key);
            self.common.metrics.keys.add(-1);
        }
    }

    fn broadcast(
        &mut self,
        key: &[u8],
        message: Message<'_>,
        except: Option<u64>,
        stream: Option<(i64, i64)>,
    ) {
        let metrics = &self.common.metrics;
        metrics.broadcasts.one();
        let Some((key, _)) = self.topics.get_key_value(key) else { return metrics.stale_commands.one() };
        let key = key.clone();
        let Some(subscribers) = self.topics.get_mut(&key) else { return };
        let mut shared = Shared::new(message);
        let mut delivered = 0;
        for (id, subscriber) in subscribers {
            if Some(*id) == except {
                continue;
            }
            let socket = &subscriber.socket;
            if let Some((since, tick)) = stream {
                if subscriber.lagging {
                    continue;
                }
                if subscriber.at.is_none_or(|at| at < since) {
                    subscriber.lag(&key);
                    continue;
                }
                // It is there already, by a catch-up that came later than it left.
                if subscriber.at.is_some_and(|at| at >= tick) {
                    continue;
                }
            }
            let bytes = match shared.get(socket.transport, socket.vsn) {
                Ok(bytes) => bytes,
                Err(error) => {
                    metrics.refused(refusal(error));
                    continue;
                }
            };
            let place = stream.map(|_| Place { key: key.clone(), before: subscriber.at });
            match socket.push(bytes, place) {
                Pushed::Queued => {
                    delivered += 1;
                    if let Some((_, tick)) = stream {
                        subscriber.at = Some(tick);
                    }
                }
                Pushed::Crowded => subscriber.lag(&key),
                Pushed::Lost => {}
            }
        }
        metrics.deliveries.add(delivered);
    }
}

impl Subscriber {
    fn lag(&mut self, key: &Arc<[u8]>) {
        self.lagging = true;
        self.socket.common.metrics.lagged.one();
        self.socket.lag(key, self.at);
    }
}

fn decide(entry: &mut Entry, decision: Decision) {
    if let Some(waiting) = entry.decision.take() {
        // The client may have gone.
        let _ = waiting.send(decision);
    }
}

/// How sockets close when what is behind them goes down.
fn restart() -> Close {
    Close::new(1012, "service_restart", Closed::Restart)
}

/// How a socket closes when its process on the BEAM has ended.
fn ended(reason: &Term) -> Close {
    match reason {
        reason if is_orderly(reason) => Close::new(1000, "", Closed::Ended),
        reason if as_atom(reason) == Some("noconnection") => restart(),
        _ => Close::new(1011, "", Closed::Crashed),
    }
}

/// How a socket closes by an exit signal.
fn exit(reason: &Term) -> Close {
    match reason {
        reason if as_atom(reason) == Some("killed") || as_atom(reason) == Some("kill") => {
            Close::at_once(1011, "", Closed::Crashed)
        }
        reason => ended(reason),
    }
}

fn is_orderly(reason: &Term) -> bool {
    match as_tuple(reason) {
        Some([kind, _]) => as_atom(kind) == Some("shutdown"),
        _ => matches!(as_atom(reason), Some("normal" | "shutdown")),
    }
}
