//! What comes over the distribution: calls, batches of commands, and what happens to processes.
//!
//! | call | answer |
//! |---|---|
//! | `ping` | `pong` |
//! | `self` | the pid of the process that answers, which outlives no restart |
//! | `{listen, Config}` | `{ok, Port}`, or `{error, Sentence}` |
//! | `stats` | a map of counters and gauges |
//! | `{drain, Ms}` | `ok`, when all connections are closed or the time has passed |
//!
//! A refusal is `{error, Sentence}`. Everything else is described in `docs/edge.md`.

use std::sync::Arc;
use std::time::Duration;

use dist::term::{as_atom, as_int, as_tuple, atom, binary, int, tuple};
use dist::{Call, Event, Members, Node, Term, program};
use thiserror::Error;
use tokio::sync::mpsc::Sender;

use crate::commands;
use crate::config::{Config, ConfigError};
use crate::edge::{Edge, ListenError};
use crate::metrics::{Metrics, Refused};
use crate::router::FromBeam;

/// How long sockets have to take the news when the BEAM is gone.
const FAREWELL: Duration = Duration::from_millis(400);

/// The longest that a drain may take.
const LONGEST_DRAIN_MS: i64 = 3_600_000;

/// Why a call is refused.
#[derive(Debug, Error)]
enum Refusal {
    #[error("this call is not known here, or its arguments do not fit")]
    Unknown,
    #[error("listening already: start another edge for another port")]
    Listening,
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Listen(#[from] ListenError),
}

struct Control {
    pid: Term,
    members: Members,
    edge: Option<(Arc<Edge>, Sender<FromBeam>)>,
}

/// Registers, says that it is ready, and serves until the connection ends; then closes all sockets.
pub async fn serve(node: Node) -> Result<(), program::Served> {
    let mut group = node.group();
    let own = group.members().register("gp_edge")?;
    let members = group.members().clone();
    let mut control = Control { pid: own.pid().clone().into(), members, edge: None };
    program::ready();
    while let Some((key, event)) = group.recv().await {
        match event {
            Event::Call(call) if key == own.key() => control.answer(call).await,
            // Sockets are not called.
            Event::Call(_) | Event::Cast(_) => {}
            event => control.pass_on(key, event, key == own.key()).await,
        }
    }
    if let Some((edge, _)) = control.edge {
        edge.drain(FAREWELL).await;
    }
    Ok(())
}

impl Control {
    /// Hands to the router what is for it, and waits while it has much to do: so nothing more is read.
    async fn pass_on(&self, key: u64, event: Event, to_all: bool) {
        let Some((edge, router)) = &self.edge else { return };
        let message = match event {
            Event::Info(message) if to_all => commands::batch(message).map(FromBeam::Commands),
            Event::Info(message) => commands::to_socket(message).map(|command| FromBeam::To(key, command)),
            Event::Down { reason, .. } => Some(FromBeam::Down(key, reason)),
            Event::Exit { reason, .. } if !to_all => Some(FromBeam::Exit(key, reason)),
            _ => return,
        };
        match message {
            // The router outlives this.
            Some(message) => drop(router.send(message).await),
            None => edge.common.metrics.refused(Refused::BadCommand),
        }
    }

    /// Answers, without waiting for a BEAM that does not read: its questions are few and answers are small.
    async fn answer(&mut self, call: Call) {
        let drain = match as_tuple(&call.request) {
            Some([name, ms]) if as_atom(name) == Some("drain") => {
                as_int(ms).filter(|ms| (0..=LONGEST_DRAIN_MS).contains(ms))
            }
            _ => None,
        };
        let edge = self.edge.as_ref().map(|(edge, _)| edge.clone());
        let answer = match drain {
            Some(_) => Ok(atom("ok")),
            None => self.result(&call.request).await,
        };
        let answer = answer.unwrap_or_else(|refusal| tuple([atom("error"), binary(refusal.to_string())]));
        tokio::spawn(async move {
            if let (Some(ms), Some(edge)) = (drain, edge) {
                edge.drain(Duration::from_millis(ms as u64)).await;
            }
            let _ = call.caller.reply(answer).await;
        });
    }

    async fn result(&mut self, request: &Term) -> Result<Term, Refusal> {
        match (as_atom(request), as_tuple(request)) {
            (Some("ping"), _) => Ok(atom("pong")),
            (Some("self"), _) => Ok(self.pid.clone()),
            (Some("stats"), _) => Ok(match &self.edge {
                Some((edge, _)) => edge.common.metrics.term(),
                None => Metrics::default().term(),
            }),
            (_, Some([name, config])) if as_atom(name) == Some("listen") => {
                if self.edge.is_some() {
                    return Err(Refusal::Listening);
                }
                let config = Config::from_term(config)?;
                let (edge, port, router) = Edge::start(config, Arc::new(self.members.clone())).await?;
                self.edge = Some((edge, router));
                Ok(tuple([atom("ok"), int(port)]))
            }
            _ => Err(Refusal::Unknown),
        }
    }
}
