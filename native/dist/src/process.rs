//! Processes of this node: a minted pid with a mailbox.

use std::sync::Arc;

use eetf::{Pid, Reference, Term};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::dispatch;
use crate::group::Member;
use crate::node::{deliver, try_deliver};
use crate::outbox::{Closed, TrySendError};
use crate::table::{Received, Table};
use crate::term::Target;

/// What a process finds in its mailbox.
#[derive(Debug)]
pub enum Event {
    /// A `GenServer.call`.
    Call(Call),
    /// A `GenServer.cast`.
    Cast(Term),
    /// Any other message.
    Info(Term),
    /// A monitored process has ended, or was not there (`noproc`).
    Down {
        /// What [`Process::monitor`] gave.
        reference: Reference,
        /// What was monitored.
        target: Target,
        /// Why it ended.
        reason: Term,
    },
    /// A linked process has ended, or somebody sent an exit signal. Nothing ends by itself: whoever holds the
    /// process decides.
    Exit {
        /// Who ended, or sent it.
        from: Pid,
        /// Why.
        reason: Term,
    },
}

/// A call that waits for its answer.
#[derive(Debug)]
pub struct Call {
    /// What is asked for.
    pub request: Term,
    /// Who asks.
    pub caller: Caller,
}

/// The way back to who made a call.
#[derive(Debug, Clone)]
pub struct Caller {
    table: Arc<Table>,
    own: Pid,
    pid: Pid,
    tag: Term,
}

impl Caller {
    /// The process that calls.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// Answers. Waits while the queue to the BEAM is full.
    pub async fn reply(self, answer: Term) -> Result<(), Closed> {
        let message = dispatch::reply(self.own, self.pid.clone(), self.tag, answer);
        deliver(&self.table, &Target::Pid(self.pid), message).await
    }

    /// Answers if the queue to the BEAM has room now. An answer that is refused is lost: the caller waits in
    /// vain, unless `self` is kept as a clone.
    pub fn try_reply(self, answer: Term) -> Result<(), TrySendError> {
        let message = dispatch::reply(self.own, self.pid.clone(), self.tag, answer);
        try_deliver(&self.table, &Target::Pid(self.pid), message)
    }
}

impl Received {
    /// What the holder of the process `own` finds.
    pub(crate) fn into_event(self, table: &Arc<Table>, own: impl FnOnce() -> Pid) -> Event {
        match self {
            Received::Other(event) => event,
            Received::Call { from, tag, request } => {
                let caller = Caller { table: table.clone(), own: own(), pid: from, tag };
                Event::Call(Call { request, caller })
            }
        }
    }
}

/// A process of this node with a mailbox of its own. Dropping it ends it: who is linked to it or monitors it is
/// told `normal`, or `panicked` if a panic drops it.
///
/// Its mailbox is unbounded, as on the BEAM; [`Process::waiting`] says how full it is.
#[derive(Debug)]
pub struct Process {
    own: Member,
    mailbox: UnboundedReceiver<Received>,
}

impl Process {
    pub(crate) fn new(table: Arc<Table>, pid: Pid, mailbox: UnboundedReceiver<Received>) -> Self {
        Process { own: Member::new(table, pid), mailbox }
    }

    /// The pid by which the BEAM knows it.
    pub fn pid(&self) -> &Pid {
        self.own.pid()
    }

    /// The next event; none when the connection has ended. May be dropped while it waits: nothing is lost.
    pub async fn recv(&mut self) -> Option<Event> {
        self.mailbox.recv().await.map(|received| self.event(received))
    }

    /// The next event if one has come.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.mailbox.try_recv().ok().map(|received| self.event(received))
    }

    /// How many events wait in the mailbox.
    pub fn waiting(&self) -> usize {
        self.mailbox.len()
    }

    fn event(&self, received: Received) -> Event {
        received.into_event(self.own.table(), || self.pid().clone())
    }

    /// Sends a message in this process's name. Waits while the queue to the BEAM is full.
    pub async fn send(&self, to: impl Into<Target>, message: Term) -> Result<(), Closed> {
        self.own.send(to, message).await
    }

    /// Sends a message in this process's name if the queue to the BEAM has room now.
    pub fn try_send(&self, to: impl Into<Target>, message: Term) -> Result<(), TrySendError> {
        self.own.try_send(to, message)
    }

    /// Links to a process: when it ends, or is not there, an [`Event::Exit`] comes, and the other way round.
    pub async fn link(&self, to: &Pid) -> Result<(), Closed> {
        self.own.table().outbox.room().await?;
        self.own.table().with(|state| state.link(self.pid(), to));
        Ok(())
    }

    /// Undoes a link: no [`Event::Exit`] for it comes from now on, but one may be in the mailbox already.
    pub async fn unlink(&self, to: &Pid) -> Result<(), Closed> {
        self.own.table().outbox.room().await?;
        self.own.table().with(|state| state.unlink(self.pid(), to));
        Ok(())
    }

    /// Monitors a process or a name of the BEAM: one [`Event::Down`] with the reference comes.
    pub async fn monitor(&self, target: impl Into<Target>) -> Result<Reference, Closed> {
        self.own.monitor(target).await
    }

    /// Undoes a monitor: no [`Event::Down`] for it comes from now on, but one may be in the mailbox already.
    pub async fn demonitor(&self, reference: &Reference) -> Result<(), Closed> {
        self.own.table().outbox.room().await?;
        self.own.table().with(|state| state.demonitor(self.pid(), reference));
        Ok(())
    }

    /// Ends the process for a reason of its own.
    pub fn exit(self, reason: Term) {
        self.own.exit(reason);
    }
}
