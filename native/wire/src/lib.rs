//! Byte formats that cross a border: what a client is told of the field ([`field`]),
//! and the messages of channels ([`phoenix`]).
//! Golden files in `test/fixtures/wire` hold them for Rust, Elixir and JavaScript alike.
#![forbid(unsafe_code)]

pub mod field;
pub mod phoenix;
