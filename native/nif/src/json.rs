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

/// JSON to term: `{:ok, term}` or `{:error, {:invalid_json, reason}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_decode<'a>(env: Env<'a>, text: Binary) -> NifResult<Term<'a>> {
    match serde_json::from_slice::<Value>(&text) {
        Ok(value) => Ok((atoms::ok(), to_term(env, &value)?).encode(env)),
        Err(error) => Ok((atoms::error(), (atoms::invalid_json(), error.to_string())).encode(env)),
    }
}

/// Term to JSON: `{:ok, text}` or `{:error, {:invalid_term, reason}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_encode<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    let text = to_value(term, 0).and_then(|value| serde_json::to_string(&value).map_err(|e| e.to_string()));
    match text {
        Ok(text) => (atoms::ok(), text).encode(env),
        Err(reason) => (atoms::error(), (atoms::invalid_term(), reason)).encode(env),
    }
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

fn to_value(term: Term, depth: usize) -> Result<Value, String> {
    let unfit = |what: &str| format!("{what} has no JSON form: {}", shown(term));
    if depth >= MAX_DEPTH && matches!(term.get_type(), TermType::List | TermType::Map) {
        return Err(format!("nested deeper than {MAX_DEPTH}"));
    }
    match term.get_type() {
        TermType::Atom if atom::nil() == term => Ok(Value::Null),
        TermType::Atom => match term.decode::<bool>() {
            Ok(flag) => Ok(Value::Bool(flag)),
            Err(_) => term.atom_to_string().map(Value::String).map_err(|_| unfit("the atom")),
        },
        TermType::Integer => match (term.decode::<i64>(), term.decode::<u64>()) {
            (Ok(n), _) => Ok(n.into()),
            (_, Ok(n)) => Ok(n.into()),
            _ => Err(unfit("an integer beyond 64 bits")),
        },
        TermType::Float => {
            let n = term.decode::<f64>().map_err(|_| unfit("the number"))?;
            Number::from_f64(n).map(Value::Number).ok_or_else(|| unfit("the number"))
        }
        TermType::Binary => {
            term.decode::<&str>().map(Value::from).map_err(|_| unfit("a binary that is not UTF-8"))
        }
        TermType::List => {
            // The length is an error for an improper list, which decoding would panic on.
            term.list_length().map_err(|_| unfit("an improper list"))?;
            let list: Vec<Term> = term.decode().map_err(|_| unfit("the list"))?;
            list.into_iter().map(|t| to_value(t, depth + 1)).collect()
        }
        TermType::Map => {
            let entries = MapIterator::new(term).ok_or_else(|| unfit("the map"))?;
            let mut fields = Map::new();
            for (key, value) in entries {
                let Value::String(name) = to_value(key, depth + 1)? else {
                    return Err(format!("a key must be a string or an atom: {}", shown(key)));
                };
                if fields.insert(name, to_value(value, depth + 1)?).is_some() {
                    return Err(format!("the key {} is there as an atom and as a string", shown(key)));
                }
            }
            Ok(Value::Object(fields))
        }
        _ => Err(unfit("the term")),
    }
}

fn shown(term: Term) -> String {
    let text = format!("{term:?}");
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
