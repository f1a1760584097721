//! This node, as the rest of the program sees it.

use std::sync::Arc;

use eetf::{Pid, Term};
use erl_dist::message::Message;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::frame;
use crate::group::Group;
use crate::outbox::{Closed, TrySendError};
use crate::process::{Event, Process};
use crate::table::{Mailbox, Table};
use crate::term::{Target, atom, encodable, tuple};

/// The name is registered already.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the name {0} is taken on this node: choose another, or end the process that has it")]
pub struct NameTaken(pub String);

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CallError {
    /// The process that was called ended first, or is not there (`noproc`).
    #[error("the process that was called has ended ({0}): start it, or call again")]
    Down(Term),
    /// The connection ended first.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A handle to this node. Clones are the same node; processes keep working when all handles are gone.
#[derive(Debug, Clone)]
pub struct Node {
    table: Arc<Table>,
}

impl Node {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Node { table }
    }

    /// The name of this node.
    pub fn name(&self) -> &str {
        &self.table.own.node.name
    }

    /// The name of the BEAM at the other end.
    pub fn peer(&self) -> &str {
        &self.table.peer
    }

    /// A new process. After the connection has ended, its mailbox is at its end too.
    pub fn spawn(&self) -> Process {
        let (sender, mailbox) = mpsc::unbounded_channel();
        match self.table.with(|state| state.spawn(None, Mailbox::Own(sender))) {
            Ok(pid) => Process::new(self.table.clone(), pid, mailbox),
            Err(_) => unreachable!("only a name can be taken"),
        }
    }

    /// A new process that the BEAM reaches as `{name, node}`.
    pub fn register(&self, name: &str) -> Result<Process, NameTaken> {
        let (sender, mailbox) = mpsc::unbounded_channel();
        let pid =
            self.table.with(|state| state.spawn(Some(name), Mailbox::Own(sender))).map_err(NameTaken)?;
        Ok(Process::new(self.table.clone(), pid, mailbox))
    }

    /// A group of processes that share a mailbox. It has no processes yet.
    pub fn group(&self) -> Group {
        Group::new(self.table.clone())
    }

    /// Sends a message. Waits while the queue to the BEAM is full; messages of one sender keep their order.
    ///
    /// A message that cannot be encoded (an atom of more than 64 KiB, 4 GiB of data) is dropped, like one to a
    /// process that is not there.
    pub async fn send(&self, to: impl Into<Target>, message: Term) -> Result<(), Closed> {
        let to = to.into();
        let message = self::message(&self.table.own, &to, message);
        deliver(&self.table, &to, message).await
    }

    /// Sends a message if the queue to the BEAM has room now.
    pub fn try_send(&self, to: impl Into<Target>, message: Term) -> Result<(), TrySendError> {
        let to = to.into();
        let message = self::message(&self.table.own, &to, message);
        try_deliver(&self.table, &to, message)
    }

    /// A `GenServer.call`. It waits as long as the server lives: put a `tokio::time::timeout` around it for
    /// less; an answer that comes later is dropped.
    pub async fn call(&self, to: impl Into<Target>, request: Term) -> Result<Term, CallError> {
        let to = to.into();
        let mut process = self.spawn();
        let reference = process.monitor(to.clone()).await?;
        let tag = Term::from(reference.clone());
        let from = tuple([process.pid().clone().into(), tag.clone()]);
        process.send(to, tuple([atom("$gen_call"), from, request])).await?;
        while let Some(event) = process.recv().await {
            match event {
                Event::Info(Term::Tuple(mut answer))
                    if answer.elements.len() == 2 && answer.elements[0] == tag =>
                {
                    return Ok(answer.elements.swap_remove(1));
                }
                Event::Down { reference: down, reason, .. } if down == reference => {
                    return Err(CallError::Down(reason));
                }
                _ => {}
            }
        }
        Err(Closed.into())
    }
}

/// A message from `from`.
pub(crate) fn message(from: &Pid, to: &Target, message: Term) -> Message {
    let message = encodable(message);
    match to {
        Target::Pid(pid) => Message::send_sender(from.clone(), pid.clone(), message),
        Target::Name(name) => Message::reg_send(from.clone(), name.clone(), message),
    }
}

pub(crate) async fn deliver(table: &Table, to: &Target, message: Message) -> Result<(), Closed> {
    match outbound(table, to, message) {
        Some(frame) => table.outbox.send(frame).await,
        None => Ok(()),
    }
}

pub(crate) fn try_deliver(table: &Table, to: &Target, message: Message) -> Result<(), TrySendError> {
    match outbound(table, to, message) {
        Some(frame) => table.outbox.try_send(frame),
        None => Ok(()),
    }
}

/// The frame for the peer; none if the message was for a process of this node.
fn outbound(table: &Table, to: &Target, message: Message) -> Option<Vec<u8>> {
    match to {
        Target::Pid(pid) if pid.node == table.own.node => {
            table.with(|state| state.handle(message));
            None
        }
        _ => frame::encode(message).ok(),
    }
}
