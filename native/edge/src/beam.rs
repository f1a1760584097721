//! The BEAM as the rest of the edge sees it; tests put another in its place.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dist::{Member, Members, Pid, Target, Term};

/// The connection to the BEAM has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// A message on its way to the queue to the BEAM.
pub type Sending = Pin<Box<dyn Future<Output = Result<(), Lost>> + Send>>;

/// Makes processes.
pub trait Beam: Debug + Send + Sync {
    /// A new process.
    fn mint(&self) -> Arc<dyn Minted>;
}

/// A process that stands for a socket.
pub trait Minted: Debug + Send + Sync {
    /// Its pid.
    fn pid(&self) -> Pid;
    /// A number that no other process has.
    fn key(&self) -> u64;
    /// Sends a message when the BEAM has room for it.
    fn send(self: Arc<Self>, to: Target, message: Term) -> Sending;
    /// Is told of the end of a process.
    fn monitor(&self, pid: &Pid);
    /// Ends; again does nothing.
    fn exit(&self, reason: Term);
}

impl Beam for Members {
    fn mint(&self) -> Arc<dyn Minted> {
        Arc::new(self.spawn())
    }
}

impl Minted for Member {
    fn pid(&self) -> Pid {
        Member::pid(self).clone()
    }

    fn key(&self) -> u64 {
        Member::key(self)
    }

    fn send(self: Arc<Self>, to: Target, message: Term) -> Sending {
        Box::pin(async move { Member::send(&self, to, message).await.map_err(|_| Lost) })
    }

    fn monitor(&self, pid: &Pid) {
        self.monitor_now(pid);
    }

    fn exit(&self, reason: Term) {
        Member::exit(self, reason);
    }
}
