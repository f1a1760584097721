//! Requests as terms.

use std::path::PathBuf;
use std::time::Duration;

use dist::Term;
use dist::term::{as_atom, as_int};

use crate::error::{Error, Result};
use crate::log::{Mode, Options};
use crate::store::plan::Op;

/// Numbers of entries and ticks are below this, so that they are exact in JSON, too.
const NUMBERS: i64 = 1 << 53;
/// The longest answer that is made; a batch that is longer is one answer.
const MOST_ANSWER: i64 = 32 << 20;
const LONGEST_NAME: usize = 64;
const LONGEST_WAIT_MS: i64 = 600_000;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Ping,
    Own,
    Stats,
    Worlds,
    Open(PathBuf, Options),
    Create(String, Vec<u8>),
    World(String),
    Commit(String, Vec<Op>),
    Batches(String, i64, usize),
    Unmarked(String, i64, usize),
    Prune(String, i64),
}

fn bad(text: impl Into<String>) -> Error {
    Error::BadRequest(text.into())
}

/// Takes a request apart.
pub(crate) fn request(term: Term) -> Result<Request> {
    let unknown = || bad("this call is not known here, or its arguments do not fit: see docs/persistence.md");
    match as_atom(&term) {
        Some("ping") => return Ok(Request::Ping),
        Some("self") => return Ok(Request::Own),
        Some("stats") => return Ok(Request::Stats),
        Some("worlds") => return Ok(Request::Worlds),
        _ => {}
    }
    let (name, arguments) = call(term).ok_or_else(unknown)?;
    let mut arguments = arguments.into_iter();
    let mut next = || arguments.next().ok_or_else(unknown);
    let request = match name.as_str() {
        "open" => Request::Open(directory(next()?)?, options(next()?)?),
        "create_world" => Request::Create(world(next()?)?, bytes(next()?, "Meta")?),
        "world" => Request::World(world(next()?)?),
        "commit" => Request::Commit(world(next()?)?, ops(next()?)?),
        "batches" => Request::Batches(world(next()?)?, number(&next()?, "FromTick", 0)?, most(&next()?)?),
        "unmarked" => Request::Unmarked(world(next()?)?, number(&next()?, "AfterSeq", 0)?, most(&next()?)?),
        "prune" => Request::Prune(world(next()?)?, number(&next()?, "BeforeTick", 0)?),
        _ => return Err(unknown()),
    };
    if arguments.next().is_some() { Err(unknown()) } else { Ok(request) }
}

/// A tuple that begins with an atom.
fn call(term: Term) -> Option<(String, Vec<Term>)> {
    let Term::Tuple(mut tuple) = term else { return None };
    if tuple.elements.is_empty() {
        return None;
    }
    let arguments = tuple.elements.split_off(1);
    Some((as_atom(&tuple.elements[0])?.to_owned(), arguments))
}

fn bytes(term: Term, what: &str) -> Result<Vec<u8>> {
    match term {
        Term::Binary(binary) => Ok(binary.bytes),
        _ => Err(bad(format!("{what} is no binary"))),
    }
}

fn directory(term: Term) -> Result<PathBuf> {
    let text = String::from_utf8(bytes(term, "Dir")?).map_err(|_| bad("Dir is not UTF-8"))?;
    if text.is_empty() || text.contains('\0') { Err(bad("Dir is no path")) } else { Ok(text.into()) }
}

fn world(term: Term) -> Result<String> {
    let name = bytes(term, "World")?;
    let fits = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let name = String::from_utf8(name).ok().filter(|name| (1..=LONGEST_NAME).contains(&name.len()));
    name.filter(|name| name.as_bytes().iter().all(fits))
        .ok_or_else(|| bad(format!("World is no name: 1 to {LONGEST_NAME} of a-z, 0-9, _ and -")))
}

fn number(term: &Term, what: &str, least: i64) -> Result<i64> {
    as_int(term)
        .filter(|number| (least..NUMBERS).contains(number))
        .ok_or_else(|| bad(format!("{what} is no integer from {least} to 2^53 - 1")))
}

fn most(term: &Term) -> Result<usize> {
    number(term, "MaxBytes", 0).map(|most| most.min(MOST_ANSWER) as usize)
}

fn list(term: Term, what: &str) -> Result<Vec<Term>> {
    match term {
        Term::List(list) => Ok(list.elements),
        _ => Err(bad(format!("{what} is no list"))),
    }
}

fn options(term: Term) -> Result<Options> {
    let Term::Map(map) = term else { return Err(bad("Options is no map")) };
    let mut options = Options::default();
    for (key, value) in &map.map {
        match as_atom(key) {
            Some("mode") => {
                options.mode = match as_atom(value) {
                    Some("write") => Mode::Write,
                    Some("read") => Mode::Read,
                    _ => return Err(bad("mode is neither write nor read")),
                }
            }
            Some("max_bytes") => options.max_bytes = number(value, "max_bytes", 0)? as u64,
            Some("wait_ms") => {
                let wait = number(value, "wait_ms", 0)?.min(LONGEST_WAIT_MS);
                options.wait = Duration::from_millis(wait as u64);
            }
            _ => return Err(bad(format!("there is no option {key}: mode, max_bytes and wait_ms are known"))),
        }
    }
    Ok(options)
}

fn ops(term: Term) -> Result<Vec<Op>> {
    list(term, "Ops")?.into_iter().map(op).collect()
}

fn op(term: Term) -> Result<Op> {
    let unknown = || bad("an operation is none of entries, mark, unmark and reached, or does not fit");
    let (name, mut arguments) = call(term).ok_or_else(unknown)?;
    match (name.as_str(), arguments.len()) {
        ("entries", 1) => {
            let entries = list(arguments.remove(0), "entries")?;
            Ok(Op::Entries(entries.into_iter().map(entry).collect::<Result<_>>()?))
        }
        ("mark", 2) => Ok(Op::Mark {
            tick: number(&arguments[0], "Tick", 0)?,
            last_seq: number(&arguments[1], "LastSeq", 1)?,
        }),
        ("unmark", 1) => Ok(Op::Unmark { tick: number(&arguments[0], "Tick", 0)? }),
        ("reached", 1) => Ok(Op::Reached { tick: number(&arguments[0], "Tick", 0)? }),
        _ => Err(unknown()),
    }
}

fn entry(term: Term) -> Result<(i64, Vec<u8>)> {
    let Term::Tuple(mut tuple) = term else { return Err(bad("an entry is no tuple")) };
    if tuple.elements.len() != 2 {
        return Err(bad("an entry is no {Seq, Bytes}"));
    }
    let seq = number(&tuple.elements[0], "Seq", 1)?;
    let bytes = bytes(tuple.elements.swap_remove(1), "an entry")?;
    if bytes.is_empty() || bytes.len() > usize::from(u16::MAX) {
        return Err(bad(format!("entry {seq} has {} bytes, expected 1 to 65535", bytes.len())));
    }
    Ok((seq, bytes))
}
