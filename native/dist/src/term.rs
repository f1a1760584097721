//! Short ways to make and to look into terms.

use std::fmt;

use eetf::{Atom, BigInteger, Binary, FixInteger, List, Map, Pid, Term, Tuple};
use erl_dist::term::PidOrAtom;

/// Whom a message, link or monitor is for: a process of either node, or a name registered on the BEAM.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A process.
    Pid(Pid),
    /// A name that is registered on the BEAM.
    Name(Atom),
}

impl From<Pid> for Target {
    fn from(pid: Pid) -> Self {
        Target::Pid(pid)
    }
}

impl From<&Pid> for Target {
    fn from(pid: &Pid) -> Self {
        Target::Pid(pid.clone())
    }
}

impl From<&str> for Target {
    fn from(name: &str) -> Self {
        Target::Name(Atom::from(name))
    }
}

impl From<Target> for PidOrAtom {
    fn from(target: Target) -> Self {
        match target {
            Target::Pid(pid) => PidOrAtom::Pid(pid),
            Target::Name(name) => PidOrAtom::Atom(name),
        }
    }
}

impl From<PidOrAtom> for Target {
    fn from(target: PidOrAtom) -> Self {
        match target {
            PidOrAtom::Pid(pid) => Target::Pid(pid),
            PidOrAtom::Atom(name) => Target::Name(name),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Pid(pid) => pid.fmt(f),
            Target::Name(name) => name.fmt(f),
        }
    }
}

/// An atom.
pub fn atom(name: &str) -> Term {
    Atom::from(name).into()
}

/// An integer of any size up to 64 bits.
pub fn int(value: impl Into<i128>) -> Term {
    let value = value.into();
    match i32::try_from(value) {
        Ok(value) => FixInteger { value }.into(),
        Err(_) => BigInteger { value: value.into() }.into(),
    }
}

/// A binary.
pub fn binary(bytes: impl Into<Vec<u8>>) -> Term {
    Binary { bytes: bytes.into() }.into()
}

/// A tuple.
pub fn tuple(elements: impl Into<Vec<Term>>) -> Term {
    Tuple { elements: elements.into() }.into()
}

/// A proper list.
pub fn list(elements: impl Into<Vec<Term>>) -> Term {
    List { elements: elements.into() }.into()
}

/// A map.
pub fn map(entries: impl IntoIterator<Item = (Term, Term)>) -> Term {
    Map::from(entries.into_iter().collect::<std::collections::HashMap<_, _>>()).into()
}

/// The name of an atom.
pub fn as_atom(term: &Term) -> Option<&str> {
    match term {
        Term::Atom(atom) => Some(&atom.name),
        _ => None,
    }
}

/// An integer that fits 64 bits.
pub fn as_int(term: &Term) -> Option<i64> {
    match term {
        Term::FixInteger(n) => Some(n.value.into()),
        Term::BigInteger(n) => i64::try_from(&n.value).ok(),
        _ => None,
    }
}

/// The bytes of a binary.
pub fn as_binary(term: &Term) -> Option<&[u8]> {
    match term {
        Term::Binary(binary) => Some(&binary.bytes),
        _ => None,
    }
}

/// The elements of a tuple.
pub fn as_tuple(term: &Term) -> Option<&[Term]> {
    match term {
        Term::Tuple(tuple) => Some(&tuple.elements),
        _ => None,
    }
}

/// Works around `eetf` 0.11, which takes a list of small integers for bytes even if some are negative.
pub(crate) fn encodable(mut term: Term) -> Term {
    mend(&mut term);
    term
}

fn mend(term: &mut Term) {
    match term {
        Term::List(list) => {
            for element in &mut list.elements {
                match element {
                    Term::FixInteger(n) if n.value < 0 => *element = BigInteger::from(n.value).into(),
                    element => mend(element),
                }
            }
        }
        Term::ImproperList(list) => {
            list.elements.iter_mut().for_each(mend);
            mend(&mut list.last);
        }
        Term::Tuple(tuple) => tuple.elements.iter_mut().for_each(mend),
        Term::Map(map) => {
            map.map = map.map.drain().map(|(key, value)| (encodable(key), encodable(value))).collect();
        }
        _ => {}
    }
}
