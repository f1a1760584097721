//! The processes of this node, and who is linked to them and monitors them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eetf::{Atom, Pid, Reference, Term};
use erl_dist::message::Message;
use erl_dist::term::PidOrAtom;
use tokio::sync::mpsc::UnboundedSender;

use crate::group::Backlog;
use crate::outbox::Outbox;
use crate::process::Event;
use crate::term::{Target, atom};

/// What dispatching and the handles share.
#[derive(Debug)]
pub(crate) struct Table {
    state: Mutex<State>,
    pub(crate) outbox: Outbox,
    /// What waits in the mailboxes of groups.
    pub(crate) backlog: Arc<Backlog>,
    /// The sender of what no process sends.
    pub(crate) own: Pid,
    pub(crate) peer: String,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) node: String,
    pub(crate) creation: u32,
    minted: u64,
    references: u64,
    pub(crate) ended: bool,
    pub(crate) processes: HashMap<u64, Entry>,
    pub(crate) names: HashMap<String, u64>,
    pub(crate) outbox: Outbox,
    /// Keeps the mailboxes of groups open for as long as the connection lasts.
    groups: Vec<UnboundedSender<(u64, Received)>>,
    /// Signals between two processes of this node, still to be handled.
    pub(crate) local: VecDeque<Message>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) pid: Pid,
    pub(crate) mailbox: Mailbox,
    name: Option<String>,
    /// The other end, with the id of an unlink that it has not acknowledged yet.
    pub(crate) links: HashMap<Pid, Option<u64>>,
    pub(crate) watched_by: HashMap<Reference, (Pid, PidOrAtom)>,
    pub(crate) watches: HashMap<Reference, Target>,
}

/// Where what comes for a process lies.
#[derive(Debug)]
pub(crate) enum Mailbox {
    Own(UnboundedSender<Received>),
    /// The mailbox of a group, where the number of the process stands with it.
    Shared(UnboundedSender<(u64, Received)>, Arc<Backlog>),
}

/// What lies in a mailbox: a call gets its way back only when it is taken out.
#[derive(Debug)]
pub(crate) enum Received {
    Call { from: Pid, tag: Term, request: Term },
    Other(Event),
}

pub(crate) fn key(pid: &Pid) -> u64 {
    u64::from(pid.serial) << 32 | u64::from(pid.id)
}

impl Table {
    pub(crate) fn new(node: String, peer: String, creation: u32, outbox: Outbox) -> Self {
        let own = Pid::new(node.as_str(), 0, 0, creation);
        let state = State {
            node,
            creation,
            minted: 0,
            references: 0,
            ended: false,
            processes: HashMap::new(),
            names: HashMap::new(),
            outbox: outbox.clone(),
            groups: Vec::new(),
            local: VecDeque::new(),
        };
        Table { state: Mutex::new(state), outbox, backlog: Arc::default(), own, peer }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if something did, each change is whole by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change`, then handles what it sent to processes of this node.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        while let Some(message) = state.local.pop_front() {
            state.handle(message);
        }
        result
    }

    /// The connection is gone: every mailbox ends after what lies in it.
    pub(crate) fn end(&self) {
        self.outbox.close();
        let mut state = self.lock();
        state.ended = true;
        state.processes.clear();
        state.names.clear();
        state.groups.clear();
    }

    /// Keeps the mailbox of a group open until the connection ends.
    pub(crate) fn keep(&self, mailbox: UnboundedSender<(u64, Received)>) {
        let mut state = self.lock();
        if !state.ended {
            state.groups.push(mailbox);
        }
    }

    /// The pid of a process, or that of no process if it has ended.
    pub(crate) fn pid_of(&self, key: u64) -> Pid {
        self.lock().processes.get(&key).map_or_else(|| self.own.clone(), |entry| entry.pid.clone())
    }
}

impl State {
    pub(crate) fn spawn(&mut self, name: Option<&str>, mailbox: Mailbox) -> Result<Pid, String> {
        if let Some(name) = name
            && (self.names.contains_key(name) || name == "net_kernel")
        {
            return Err(name.to_owned());
        }
        self.minted += 1;
        let pid = Pid {
            node: Atom::from(self.node.as_str()),
            id: self.minted as u32,
            serial: (self.minted >> 32) as u32,
            creation: self.creation,
        };
        if self.ended {
            return Ok(pid);
        }
        let name = name.map(str::to_owned);
        if let Some(name) = &name {
            self.names.insert(name.clone(), self.minted);
        }
        let entry = Entry {
            pid: pid.clone(),
            mailbox,
            name,
            links: HashMap::new(),
            watched_by: HashMap::new(),
            watches: HashMap::new(),
        };
        self.processes.insert(self.minted, entry);
        Ok(pid)
    }

    /// The process of a pid of this very incarnation of the node.
    pub(crate) fn entry(&mut self, pid: &Pid) -> Option<&mut Entry> {
        self.processes.get_mut(&key(pid)).filter(|entry| entry.pid == *pid)
    }

    pub(crate) fn named(&mut self, name: &str) -> Option<&mut Entry> {
        let key = self.names.get(name)?;
        self.processes.get_mut(key)
    }

    pub(crate) fn is_local(&self, pid: &Pid) -> bool {
        pid.node.name == self.node
    }

    /// Sends a signal to wherever `to` lives.
    pub(crate) fn emit(&mut self, to: &Pid, message: Message) {
        if self.is_local(to) {
            self.local.push_back(message);
        } else {
            self.outbox.signal(message);
        }
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.references += 1;
        self.references
    }

    fn reference(&mut self) -> Reference {
        let n = self.next_number();
        // The first word has 18 bits on the BEAM.
        let id = vec![(n & 0x3_ffff) as u32, (n >> 18) as u32, (n >> 50) as u32];
        Reference { node: Atom::from(self.node.as_str()), id, creation: self.creation }
    }

    pub(crate) fn link(&mut self, from: &Pid, to: &Pid) {
        let Some(entry) = self.entry(from) else { return };
        // An unlink that is under way is taken back by linking again.
        if from != to && entry.links.insert(to.clone(), None) != Some(None) {
            self.emit(to, Message::link(from.clone(), to.clone()));
        }
    }

    pub(crate) fn unlink(&mut self, from: &Pid, to: &Pid) {
        let id = self.next_number();
        let Some(link) = self.entry(from).and_then(|entry| entry.links.get_mut(to)) else { return };
        if link.is_none() {
            *link = Some(id);
            self.emit(to, Message::unlink_id(crate::term::int(id), from.clone(), to.clone()));
        }
    }

    pub(crate) fn monitor(&mut self, from: &Pid, target: &Target) -> Reference {
        let reference = self.reference();
        if let Some(entry) = self.entry(from) {
            entry.watches.insert(reference.clone(), target.clone());
            let message = Message::monitor_p(from.clone(), target.clone().into(), reference.clone());
            self.emit_to(target, message);
        }
        reference
    }

    pub(crate) fn demonitor(&mut self, from: &Pid, reference: &Reference) {
        let Some(target) = self.entry(from).and_then(|entry| entry.watches.remove(reference)) else { return };
        let message = Message::demonitor_p(from.clone(), target.clone().into(), reference.clone());
        self.emit_to(&target, message);
    }

    fn emit_to(&mut self, target: &Target, message: Message) {
        match target {
            Target::Pid(pid) => self.emit(pid, message),
            Target::Name(_) => self.outbox.signal(message),
        }
    }

    /// Ends a process: who is linked to it or monitors it is told.
    pub(crate) fn exit(&mut self, pid: &Pid, reason: &Term) {
        if self.entry(pid).is_none() {
            return;
        }
        let Some(entry) = self.processes.remove(&key(pid)) else { return };
        if let Some(name) = &entry.name {
            self.names.remove(name);
        }
        for (watcher, (to, target)) in entry.watched_by {
            let message = Message::payload_monitor_p_exit(target, to.clone(), watcher, reason.clone());
            self.emit(&to, message);
        }
        for (to, unlinking) in entry.links {
            if unlinking.is_none() {
                self.emit(&to, Message::payload_exit(pid.clone(), to.clone(), reason.clone()));
            }
        }
        for (reference, target) in entry.watches {
            let message = Message::demonitor_p(pid.clone(), target.clone().into(), reference);
            self.emit_to(&target, message);
        }
    }

    pub(crate) fn noproc(&mut self, from: PidOrAtom, to: &Pid, reference: Reference) {
        self.emit(to, Message::payload_monitor_p_exit(from, to.clone(), reference, atom("noproc")));
    }
}
