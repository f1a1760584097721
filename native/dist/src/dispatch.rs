//! What happens to a process when a message of the protocol arrives.

use eetf::{Atom, Pid, Reference, Term};
use erl_dist::message::Message;
use erl_dist::term::PidOrAtom;

use crate::process::Event;
use crate::table::{Entry, Mailbox, Received, State, key};
use crate::term::{as_atom, as_int, as_tuple, atom, encodable, tuple};

impl State {
    /// Handles one message. At most one signal goes out for it.
    pub(crate) fn handle(&mut self, message: Message) {
        match message {
            Message::SendSender(m) => self.deliver(&m.to_pid, m.message),
            Message::SendSenderTt(m) => self.deliver(&m.to_pid, m.message),
            Message::Send(m) => self.deliver(&m.to_pid, m.message),
            Message::SendTt(m) => self.deliver(&m.to_pid, m.message),
            Message::RegSend(m) => self.deliver_named(&m.to_name, m.message),
            Message::RegSendTt(m) => self.deliver_named(&m.to_name, m.message),
            Message::Link(m) => self.linked(m.from_pid, m.to_pid),
            Message::UnlinkId(m) => {
                self.forget_link(&m.from_pid, &m.to_pid);
                let to = m.from_pid.clone();
                self.emit(&to, Message::unlink_id_ack(m.id, m.to_pid, m.from_pid));
            }
            Message::UnlinkIdAck(m) => {
                let acknowledged = as_int(&m.id).and_then(|id| u64::try_from(id).ok());
                if let Some(entry) = self.entry(&m.to_pid)
                    && acknowledged.is_some()
                    && entry.links.get(&m.from_pid) == Some(&acknowledged)
                {
                    entry.links.remove(&m.from_pid);
                }
            }
            Message::Unlink(m) => self.forget_link(&m.from_pid, &m.to_pid),
            Message::PayloadExit(m) => self.link_broken(m.from_pid, &m.to_pid, m.reason),
            Message::PayloadExitTt(m) => self.link_broken(m.from_pid, &m.to_pid, m.reason),
            Message::Exit(m) => self.link_broken(m.from_pid, &m.to_pid, m.reason),
            Message::ExitTt(m) => self.link_broken(m.from_pid, &m.to_pid, m.reason),
            Message::PayloadExit2(m) => self.exit_signal(m.from_pid, &m.to_pid, m.reason),
            Message::PayloadExit2Tt(m) => self.exit_signal(m.from_pid, &m.to_pid, m.reason),
            Message::Exit2(m) => self.exit_signal(m.from_pid, &m.to_pid, m.reason),
            Message::Exit2Tt(m) => self.exit_signal(m.from_pid, &m.to_pid, m.reason),
            Message::MonitorP(m) => self.watched(m.from_pid, m.to_proc, m.reference),
            Message::DemonitorP(m) => {
                if let Some(entry) = self.target(&m.to_proc) {
                    entry.watched_by.remove(&m.reference);
                }
            }
            Message::PayloadMonitorPExit(m) => self.down(&m.to_pid, m.reference, m.reason),
            Message::MonitorPExit(m) => self.down(&m.to_pid, m.reference, m.reason),
            Message::Tick => self.outbox.tick(),
            // This node makes no aliases, spawns for nobody, and has no group leaders.
            Message::AliasSend(_)
            | Message::AliasSendTt(_)
            | Message::GroupLeader(_)
            | Message::NodeLink(_)
            | Message::SpawnRequest(_)
            | Message::SpawnRequestTt(_)
            | Message::SpawnReply(_)
            | Message::SpawnReplyTt(_) => {}
        }
    }

    fn target(&mut self, target: &PidOrAtom) -> Option<&mut Entry> {
        match target {
            PidOrAtom::Pid(pid) => self.entry(pid),
            PidOrAtom::Atom(name) => self.named(&name.name),
        }
    }

    fn deliver(&mut self, to: &Pid, message: Term) {
        if let Some(entry) = self.entry(to) {
            entry.put(sorted(message));
        }
    }

    fn deliver_named(&mut self, to: &Atom, message: Term) {
        if let Some(entry) = self.named(&to.name) {
            entry.put(sorted(message));
        } else if to.name == "net_kernel" {
            self.answer_ping(message);
        }
    }

    /// `Node.ping` asks the `net_kernel` of the other node.
    fn answer_ping(&mut self, message: Term) {
        if let Received::Call { from, tag, request } = sorted(message)
            && as_tuple(&request).is_some_and(|t| t.first().and_then(as_atom) == Some("is_auth"))
        {
            let own = Pid::new(self.node.as_str(), 0, 0, self.creation);
            let to = from.clone();
            self.emit(&to, reply(own, from, tag, atom("yes")));
        }
    }

    fn linked(&mut self, from: Pid, to: Pid) {
        match self.entry(&to) {
            // A link that is being undone here stays undone: the other end drops it with our unlink.
            Some(entry) => drop(entry.links.entry(from).or_insert(None)),
            None => {
                let back = from.clone();
                self.emit(&back, Message::payload_exit(to, from, atom("noproc")));
            }
        }
    }

    fn forget_link(&mut self, from: &Pid, to: &Pid) {
        if let Some(entry) = self.entry(to)
            && entry.links.get(from) == Some(&None)
        {
            entry.links.remove(from);
        }
    }

    fn link_broken(&mut self, from: Pid, to: &Pid, reason: Term) {
        if let Some(entry) = self.entry(to)
            && entry.links.remove(&from) == Some(None)
        {
            entry.put(Received::Other(Event::Exit { from, reason }));
        }
    }

    fn exit_signal(&mut self, from: Pid, to: &Pid, reason: Term) {
        if let Some(entry) = self.entry(to) {
            entry.put(Received::Other(Event::Exit { from, reason }));
        }
    }

    fn watched(&mut self, from: Pid, to: PidOrAtom, reference: Reference) {
        if let Some(entry) = self.target(&to) {
            entry.watched_by.insert(reference, (from, to));
        } else if !matches!(&to, PidOrAtom::Atom(name) if name.name == "net_kernel") {
            self.noproc(to, &from, reference);
        }
    }

    fn down(&mut self, to: &Pid, reference: Reference, reason: Term) {
        if let Some(entry) = self.entry(to)
            && let Some(target) = entry.watches.remove(&reference)
        {
            entry.put(Received::Other(Event::Down { reference, target, reason }));
        }
    }
}

impl Entry {
    fn put(&self, received: Received) {
        // Nobody may take from it any more.
        match &self.mailbox {
            Mailbox::Own(mailbox) => drop(mailbox.send(received)),
            Mailbox::Shared(mailbox, backlog) => {
                backlog.add();
                if mailbox.send((key(&self.pid), received)).is_err() {
                    backlog.remove();
                }
            }
        }
    }
}

/// Tells calls and casts of the `gen` protocol from other messages.
fn sorted(message: Term) -> Received {
    let Term::Tuple(mut parts) = message else {
        return Received::Other(Event::Info(message));
    };
    match parts.elements.as_mut_slice() {
        [Term::Atom(kind), payload] if kind.name == "$gen_cast" => {
            Received::Other(Event::Cast(std::mem::replace(payload, tuple([]))))
        }
        [Term::Atom(kind), Term::Tuple(from), request] if kind.name == "$gen_call" => {
            match from.elements.as_mut_slice() {
                [Term::Pid(caller), tag] => Received::Call {
                    from: caller.clone(),
                    tag: std::mem::replace(tag, tuple([])),
                    request: std::mem::replace(request, tuple([])),
                },
                _ => Received::Other(Event::Info(parts.into())),
            }
        }
        _ => Received::Other(Event::Info(parts.into())),
    }
}

/// The message that answers a call: by alias if the tag has one, so that a late answer goes nowhere.
pub(crate) fn reply(own: Pid, to: Pid, tag: Term, answer: Term) -> Message {
    let alias = alias_of(&tag).cloned();
    let message = tuple([tag, encodable(answer)]);
    match alias {
        Some(alias) => Message::alias_send(own, alias, message),
        None => Message::send_sender(own, to, message),
    }
}

/// `[alias|Ref]`, or that in front of another list.
fn alias_of(tag: &Term) -> Option<&Reference> {
    let Term::ImproperList(list) = tag else { return None };
    match (list.elements.as_slice(), &*list.last) {
        ([Term::Atom(kind)], Term::Reference(reference)) if kind.name == "alias" => Some(reference),
        ([inner @ Term::ImproperList(_)], _) => alias_of(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Outbox;
    use crate::table::Table;
    use crate::term::int;
    use proptest::prelude::*;
    use tokio::sync::mpsc;

    /// Pids of both nodes, alive, dead and of another incarnation.
    fn pids() -> impl Strategy<Value = Pid> {
        (prop_oneof![Just("us@h"), Just("beam@h")], 0u32..4, 0u32..2, 8u32..10)
            .prop_map(|(node, id, serial, creation)| Pid::new(node, id, serial, creation))
    }

    fn messages() -> impl Strategy<Value = Message> {
        let names = prop_oneof![Just("net_kernel"), Just("server"), Just("nobody")];
        let target = prop_oneof![
            pids().prop_map(PidOrAtom::Pid),
            names.clone().prop_map(|name| PidOrAtom::Atom(Atom::from(name)))
        ];
        let reference =
            (0u32..4).prop_map(|n| Reference { node: Atom::from("us@h"), id: vec![n, 0, 0], creation: 9 });
        let text = prop_oneof![Just("is_auth"), Just("$gen_call"), Just("x")];
        let request = (text, pids(), reference.clone()).prop_map(|(kind, pid, tag)| {
            let from = tuple([pid.into(), tag.into()]);
            tuple([atom("$gen_call"), from, tuple([atom(kind)])])
        });
        (0..11, pids(), pids(), target, reference, names, request, -1i64..4).prop_map(
            |(kind, from, to, target, reference, name, request, id)| match kind {
                0 => Message::link(from, to),
                1 => Message::unlink_id(int(id), from, to),
                2 => Message::unlink_id_ack(int(id), from, to),
                3 => Message::payload_exit(from, to, atom("x")),
                4 => Message::payload_exit2(from, to, atom("x")),
                5 => Message::monitor_p(from, target, reference),
                6 => Message::demonitor_p(from, target, reference),
                7 => Message::payload_monitor_p_exit(target, to, reference, atom("x")),
                8 => Message::reg_send(from, Atom::from(name), request),
                9 => Message::send_sender(from, to, request),
                _ => Message::Tick,
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_arrives_each_message_sends_at_most_one_signal(
            messages in proptest::collection::vec(messages(), 0..40)
        ) {
            let (outbox, mut queue) = Outbox::new();
            let table = Table::new("us@h".to_owned(), "beam@h".to_owned(), 9, outbox);
            let (sender, mut mailbox) = mpsc::unbounded_channel();
            let pid = table.with(|state| state.spawn(Some("server"), Mailbox::Own(sender))).unwrap();
            for message in messages {
                table.with(|state| state.handle(message));
                let signals = std::iter::from_fn(|| queue.try_recv().ok()).count();
                let events = std::iter::from_fn(|| mailbox.try_recv().ok()).count();
                prop_assert!(signals <= 1 && events <= 1);
            }
            // Ending twice is ending once.
            table.with(|state| state.exit(&pid, &atom("normal")));
            while queue.try_recv().is_ok() {}
            table.with(|state| state.exit(&pid, &atom("normal")));
            prop_assert!(queue.try_recv().is_err());
        }
    }
}
