//! `json_*`: JSON text and Elixir terms. Objects are maps with string keys, `null` is `nil`.

use rustler::types::atom;
use rustler::types::map::MapIterator;
use rustler::{Binary, Encoder, Env, NifResult, Term, TermType};
use serde_json::{Map, Number, Value};

use crate::atoms;

/// Deeper terms are refused, so that no stack is at risk; the decoder has the same limit.
const MAX_DEPTH: usize = 127;

/// Characters of an unfit term that an error shows.
const MAX_SHOWN: usize = 80;

/// What a normal scheduler may be asked for: terms in a term, bytes in its strings. Far below a millisecond.
const SHORT: Budget = Budget { terms: 1_000, bytes: 16_384 };

/// What is left of a term to be written.
#[derive(Clone, Copy)]
struct Budget {
    terms: usize,
    bytes: usize,
}

/// Why a term is not written.
enum Unwritten<'a> {
    /// This part of it is not possible.
    Unfit(Term<'a>, &'static str),
    /// It is nested too deep.
    TooDeep,
    /// The budget is spent.
    TooLarge,
}

/// JSON to term: `{:ok, term}` or `{:error, {:invalid_json, reason}}`. For short texts.
#[rustler::nif]
fn json_decode<'a>(env: Env<'a>, text: Binary) -> NifResult<Term<'a>> {
    if text.len() > SHORT.bytes {
        return Err(rustler::Error::BadArg);
    }
    decode(env, &text)
}

/// The same for texts of any length.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_decode_dirty<'a>(env: Env<'a>, text: Binary) -> NifResult<Term<'a>> {
    decode(env, &text)
}

fn decode<'a>(env: Env<'a>, text: &[u8]) -> NifResult<Term<'a>> {
    match serde_json::from_slice::<Value>(text) {
        Ok(value) => Ok((atoms::ok(), to_term(env, &value)?).encode(env)),
        Err(error) => Ok((atoms::error(), (atoms::invalid_json(), error.to_string())).encode(env)),
    }
}

/// Term to JSON: `{:ok, text}`, or `:too_large` for a normal scheduler. So is a term that has no JSON form:
/// showing it takes time.
#[rustler::nif]
fn json_encode<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    match text(term, SHORT) {
        Ok(text) => (atoms::ok(), text).encode(env),
        Err(_) => atoms::too_large().encode(env),
    }
}

/// The same for any term: `{:ok, text}` or `{:error, {:invalid_term, reason}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_encode_dirty<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    let reason = match text(term, Budget { terms: usize::MAX, bytes: usize::MAX }) {
        Ok(text) => return (atoms::ok(), text).encode(env),
        Err(Unwritten::Unfit(term, what)) => format!("{what}: {}", shown(term)),
        Err(Unwritten::TooDeep) => format!("nested deeper than {MAX_DEPTH}"),
        Err(Unwritten::TooLarge) => "too large".to_owned(),
    };
    (atoms::error(), (atoms::invalid_term(), reason)).encode(env)
}

fn text(term: Term<'_>, mut budget: Budget) -> Result<String, Unwritten<'_>> {
    let value = to_value(term, 0, &mut budget)?;
    serde_json::to_string(&value).map_err(|_| Unwritten::Unfit(term, "the term has no JSON form"))
}

/// A term for a JSON value.
pub fn to_term<'a>(env: Env<'a>, value: &Value) -> NifResult<Term<'a>> {
    Ok(match value {
        Value::Null => atom::nil().encode(env),
        Value::Bool(flag) => flag.encode(env),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(n), _, _) => n.encode(env),
            (_, Some(n), _) => n.encode(env),
            (_, _, Some(n)) => n.encode(env),
            _ => return Err(rustler::Error::BadArg),
        },
        Value::String(text) => text.encode(env),
        Value::Array(values) => {
            values.iter().map(|v| to_term(env, v)).collect::<NifResult<Vec<_>>>()?.encode(env)
        }
        Value::Object(fields) => {
            let keys: Vec<_> = fields.keys().map(|key| key.encode(env)).collect();
            let values = fields.values().map(|v| to_term(env, v)).collect::<NifResult<Vec<_>>>()?;
            Term::map_from_term_arrays(env, &keys, &values)?
        }
    })
}

fn to_value<'a>(term: Term<'a>, depth: usize, budget: &mut Budget) -> Result<Value, Unwritten<'a>> {
    let unfit = |what| Unwritten::Unfit(term, what);
    budget.terms = budget.terms.checked_sub(1).ok_or(Unwritten::TooLarge)?;
    if depth >= MAX_DEPTH && matches!(term.get_type(), TermType::List | TermType::Map) {
        return Err(Unwritten::TooDeep);
    }
    match term.get_type() {
        TermType::Atom if atom::nil() == term => Ok(Value::Null),
        TermType::Atom => match term.decode::<bool>() {
            Ok(flag) => Ok(Value::Bool(flag)),
            Err(_) => {
                term.atom_to_string().map(Value::String).map_err(|_| unfit("the atom has no JSON form"))
            }
        },
        TermType::Integer => match (term.decode::<i64>(), term.decode::<u64>()) {
            (Ok(n), _) => Ok(n.into()),
            (_, Ok(n)) => Ok(n.into()),
            _ => Err(unfit("an integer beyond 64 bits has no JSON form")),
        },
        TermType::Float => {
            let n = term.decode::<f64>().map_err(|_| unfit("the number has no JSON form"))?;
            Number::from_f64(n).map(Value::Number).ok_or_else(|| unfit("the number has no JSON form"))
        }
        TermType::Binary => {
            let bytes = term.decode::<Binary>().map_err(|_| unfit("the bit string has no JSON form"))?;
            budget.bytes = budget.bytes.checked_sub(bytes.len()).ok_or(Unwritten::TooLarge)?;
            std::str::from_utf8(&bytes)
                .map(Value::from)
                .map_err(|_| unfit("a binary that is not UTF-8 has no JSON form"))
        }
        TermType::List => {
            // Cell by cell: decoding would walk a long list first, and panic on an improper one.
            let (mut rest, mut list) = (term, Vec::new());
            while !rest.is_empty_list() {
                let (head, tail) =
                    rest.list_get_cell().map_err(|_| unfit("an improper list has no JSON form"))?;
                list.push(to_value(head, depth + 1, budget)?);
                rest = tail;
            }
            Ok(Value::Array(list))
        }
        TermType::Map => {
            let entries = MapIterator::new(term).ok_or_else(|| unfit("the map has no JSON form"))?;
            let mut fields = Map::new();
            for (key, value) in entries {
                let Value::String(name) = to_value(key, depth + 1, budget)? else {
                    return Err(Unwritten::Unfit(key, "a key must be a string or an atom"));
                };
                if fields.insert(name, to_value(value, depth + 1, budget)?).is_some() {
                    return Err(Unwritten::Unfit(key, "a key is there as an atom and as a string"));
                }
            }
            Ok(Value::Object(fields))
        }
        _ => Err(unfit("the term has no JSON form")),
    }
}

fn shown(term: Term) -> String {
    let text = format!("{term:?}");
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
