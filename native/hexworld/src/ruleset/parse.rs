//! TOML with places: a thin layer over `toml`'s spanned tree that turns every mistake into a line,
//! a column and a reason.

use std::ops::Range;

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A ruleset text longer than this is refused unread.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Why a ruleset was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct RulesetError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what is expected.
    pub reason: String,
}

/// A mistake at a byte range of the text.
pub(super) struct Fault {
    at: Range<usize>,
    reason: String,
}

pub(super) type Read<T> = Result<T, Fault>;

/// Characters of a reason: a name in a file may have any length.
const MAX_REASON: usize = 300;

pub(super) fn fault<T>(at: Range<usize>, reason: impl Into<String>) -> Read<T> {
    let mut reason = reason.into();
    if let Some((end, _)) = reason.char_indices().nth(MAX_REASON) {
        reason.truncate(end);
        reason.push_str("...");
    }
    Err(Fault { at, reason })
}

impl Fault {
    fn place(self, text: &str) -> RulesetError {
        let start =
            (0..=self.at.start.min(text.len())).rev().find(|&n| text.is_char_boundary(n)).unwrap_or(0);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        RulesetError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            reason: self.reason,
        }
    }
}

/// Parses `text` and hands its root table to `read`.
pub(super) fn with_root<T>(text: &str, read: impl FnOnce(&Table) -> Read<T>) -> Result<T, RulesetError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Fault { at: 0..0, reason: format!("longer than {MAX_TEXT_BYTES} bytes") }.place(text));
    }
    let root = DeTable::parse(text).map_err(|error| {
        let reason = error.message().trim_end().replace('\n', ", ");
        Fault { at: error.span().unwrap_or(0..0), reason }.place(text)
    })?;
    read(&Table { at: root.span(), table: root.get_ref() }).map_err(|fault| fault.place(text))
}

/// A table and where it stands.
pub(super) struct Table<'a> {
    pub at: Range<usize>,
    table: &'a DeTable<'a>,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub at: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> From<&'a Spanned<DeValue<'a>>> for Value<'a> {
    fn from(spanned: &'a Spanned<DeValue<'a>>) -> Self {
        Value { at: spanned.span(), value: spanned.get_ref() }
    }
}

impl<'a> Table<'a> {
    /// Refuses keys that are not in `known`.
    pub fn only(&self, known: &[&str]) -> Read<()> {
        for key in self.table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                return fault(
                    key.span(),
                    format!("unknown key {:?}; known here: {}", key.get_ref(), known.join(", ")),
                );
            }
        }
        Ok(())
    }

    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.table.get(key).map(Value::from)
    }

    pub fn need(&self, key: &str) -> Read<Value<'a>> {
        match self.get(key) {
            Some(value) => Ok(value),
            None => fault(self.at.clone(), format!("{key:?} is missing")),
        }
    }

    /// Keys with their places and values.
    pub fn entries(&self) -> impl Iterator<Item = (Range<usize>, &'a str, Value<'a>)> {
        self.table.iter().map(|(key, value)| (key.span(), key.get_ref().as_ref(), Value::from(value)))
    }
}

impl<'a> Value<'a> {
    fn wrong<T>(&self, expected: &str) -> Read<T> {
        fault(self.at.clone(), format!("expected {expected}, found {}", self.value.type_str()))
    }

    pub fn table(&self) -> Read<Table<'a>> {
        match self.value {
            DeValue::Table(table) => Ok(Table { at: self.at.clone(), table }),
            _ => self.wrong("a table"),
        }
    }

    pub fn list(&self) -> Read<Vec<Value<'a>>> {
        match self.value {
            DeValue::Array(array) => Ok(array.iter().map(Value::from).collect()),
            _ => self.wrong("a list"),
        }
    }

    /// A list of at most `max` entries.
    pub fn list_of(&self, max: usize) -> Read<Vec<Value<'a>>> {
        let list = self.list()?;
        if list.len() > max {
            return fault(
                list[max].at.clone(),
                format!("at most {max} entries are allowed, found {}", list.len()),
            );
        }
        Ok(list)
    }

    pub fn text(&self) -> Read<&'a str> {
        match self.value {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => self.wrong("a string"),
        }
    }

    pub fn flag(&self) -> Read<bool> {
        match self.value {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => self.wrong("true or false"),
        }
    }

    /// An integer in `range`.
    pub fn integer(&self, range: std::ops::RangeInclusive<i64>) -> Read<i64> {
        let DeValue::Integer(integer) = self.value else {
            return self.wrong("an integer");
        };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(n) if range.contains(&n) => Ok(n),
            _ => fault(
                self.at.clone(),
                format!("expected an integer in {}..{}, found {integer}", range.start(), range.end()),
            ),
        }
    }

    pub fn u16(&self, least: u16) -> Read<u16> {
        self.integer(i64::from(least)..=65535).map(|n| n as u16)
    }
}
