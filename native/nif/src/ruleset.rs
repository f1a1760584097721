//! `ruleset_*`: rulesets as terms, for the backend that is written in Elixir.

use hexworld::{Ruleset, RulesetError};
use rustler::{Binary, Encoder, Env, NewBinary, NifResult, Term};

use crate::{atoms, json};

/// Reads a ruleset: `{:ok, map, hash}` or `{:error, {:invalid_ruleset, line, column, reason}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn ruleset_parse<'a>(env: Env<'a>, text: Binary) -> NifResult<Term<'a>> {
    let ruleset = match parse(&text) {
        Ok(ruleset) => ruleset,
        Err(error) => return Ok(refused(env, &error)),
    };
    let value = serde_json::to_value(&ruleset).map_err(|_| rustler::Error::BadArg)?;
    let mut hash = NewBinary::new(env, 32);
    hash.as_mut_slice().copy_from_slice(&ruleset.hash());
    Ok((atoms::ok(), json::to_term(env, &value)?, Binary::from(hash)).encode(env))
}

pub fn parse(text: &[u8]) -> Result<Ruleset, RulesetError> {
    match std::str::from_utf8(text) {
        Ok(text) => Ruleset::parse(text),
        Err(error) => {
            let before = &text[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            Err(RulesetError { line, column: 1, reason: "the text is not UTF-8".to_owned() })
        }
    }
}

pub fn refused<'a>(env: Env<'a>, error: &RulesetError) -> Term<'a> {
    (atoms::error(), (atoms::invalid_ruleset(), error.line, error.column, &error.reason)).encode(env)
}
