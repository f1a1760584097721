//! Byte formats that cross a border: what a client is told of the field ([`field`]).
//! Golden files in `test/fixtures/wire` hold them for Rust, Elixir and JavaScript alike.
#![forbid(unsafe_code)]

pub mod field;
