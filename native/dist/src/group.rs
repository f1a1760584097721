//! Many processes with one mailbox, for a program that has a process for each of thousands of connections:
//! what comes for all of them comes in one order, and one that idles costs no mailbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eetf::{Pid, Reference, Term};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, WeakUnboundedSender};

use crate::node::{NameTaken, deliver, message, try_deliver};
use crate::outbox::{Closed, TrySendError};
use crate::process::Event;
use crate::table::{Mailbox, Received, Table, key};
use crate::term::{Target, atom, encodable};

/// How many events wait in the mailboxes of groups before the BEAM is read no further.
const WAITING: usize = 256;

/// Counts what waits in the mailboxes of groups.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    waiting: AtomicUsize,
    calm: Notify,
}

impl Backlog {
    pub(crate) fn add(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self) {
        if self.waiting.fetch_sub(1, Ordering::Relaxed) == WAITING {
            self.calm.notify_one();
        }
    }

    /// Waits until not much waits. Only one task may.
    pub(crate) async fn room(&self) {
        while self.waiting.load(Ordering::Relaxed) >= WAITING {
            self.calm.notified().await;
        }
    }
}

/// The mailbox of a group of processes. While much waits in it nothing is read from the BEAM, so who takes
/// from it must not wait for the BEAM.
#[derive(Debug)]
pub struct Group {
    table: Arc<Table>,
    mailbox: UnboundedReceiver<(u64, Received)>,
    members: Members,
}

/// Makes processes of a group. Clones are of the same group.
#[derive(Debug, Clone)]
pub struct Members {
    table: Arc<Table>,
    // The table has the strong one and drops it with the connection, which ends the mailbox.
    mailbox: WeakUnboundedSender<(u64, Received)>,
}

/// A process whose events come to its group. Dropping it ends it: who is linked to it or monitors it is told
/// `normal`, or `panicked` if a panic drops it.
#[derive(Debug)]
pub struct Member {
    table: Arc<Table>,
    pid: Pid,
}

impl Group {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        let (sender, mailbox) = mpsc::unbounded_channel();
        let members = Members { table: table.clone(), mailbox: sender.downgrade() };
        table.keep(sender);
        Group { table, mailbox, members }
    }

    /// What makes processes of this group.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The next event with the [key](Member::key) of the process that it is for; none when the connection has
    /// ended. May be dropped while it waits: nothing is lost.
    pub async fn recv(&mut self) -> Option<(u64, Event)> {
        let (key, received) = self.mailbox.recv().await?;
        self.table.backlog.remove();
        Some((key, received.into_event(&self.table, || self.table.pid_of(key))))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.mailbox.close();
        while self.mailbox.try_recv().is_ok() {
            self.table.backlog.remove();
        }
    }
}

impl Members {
    /// A new process.
    pub fn spawn(&self) -> Member {
        self.make(None).unwrap_or_else(|_| unreachable!("only a name can be taken"))
    }

    /// A new process that the BEAM reaches as `{name, node}`.
    pub fn register(&self, name: &str) -> Result<Member, NameTaken> {
        self.make(Some(name)).map_err(NameTaken)
    }

    fn make(&self, name: Option<&str>) -> Result<Member, String> {
        let mailbox = match self.mailbox.upgrade() {
            Some(sender) => Mailbox::Shared(sender, self.table.backlog.clone()),
            // The connection has ended, and a process that is made now is not kept.
            None => Mailbox::Own(mpsc::unbounded_channel().0),
        };
        let pid = self.table.with(|state| state.spawn(name, mailbox))?;
        Ok(Member::new(self.table.clone(), pid))
    }
}

impl Member {
    pub(crate) fn new(table: Arc<Table>, pid: Pid) -> Self {
        Member { table, pid }
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The pid by which the BEAM knows it.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// A number that no other process of this node has or will have.
    pub fn key(&self) -> u64 {
        key(&self.pid)
    }

    /// Sends a message in this process's name. Waits while the queue to the BEAM is full.
    pub async fn send(&self, to: impl Into<Target>, message: Term) -> Result<(), Closed> {
        let to = to.into();
        let message = self::message(&self.pid, &to, message);
        deliver(&self.table, &to, message).await
    }

    /// Sends a message in this process's name if the queue to the BEAM has room now.
    pub fn try_send(&self, to: impl Into<Target>, message: Term) -> Result<(), TrySendError> {
        let to = to.into();
        let message = self::message(&self.pid, &to, message);
        try_deliver(&self.table, &to, message)
    }

    /// Monitors a process or a name of the BEAM: one [`Event::Down`] with the reference comes.
    pub async fn monitor(&self, target: impl Into<Target>) -> Result<Reference, Closed> {
        self.table.outbox.room().await?;
        Ok(self.monitor_now(target))
    }

    /// As [`Member::monitor`], without waiting for a BEAM that is slow: for who does so a bounded number of times
    /// for each thing that the BEAM has asked for.
    pub fn monitor_now(&self, target: impl Into<Target>) -> Reference {
        let target = target.into();
        self.table.with(|state| state.monitor(&self.pid, &target))
    }

    /// Ends the process for a reason of its own; it has ended from then on, whatever is done with it.
    pub fn exit(&self, reason: Term) {
        let reason = encodable(reason);
        self.table.with(|state| state.exit(&self.pid, &reason));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() { "panicked" } else { "normal" };
        self.table.with(|state| state.exit(&self.pid, &atom(reason)));
    }
}
