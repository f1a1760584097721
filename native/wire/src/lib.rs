//! Byte formats that cross a border: what a client is told of the field ([`field`]),
//! the messages of channels ([`phoenix`]), and whole worlds ([`snapshot`]).
//! Golden files in `test/fixtures/wire` hold them for Rust, Elixir and JavaScript alike.
#![forbid(unsafe_code)]

pub mod field;
pub mod phoenix;
pub mod snapshot;
