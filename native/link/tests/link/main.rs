//! The event log: files, requests, the program.

mod damage;
mod model;
mod powercut;
mod program;
mod support;
mod trouble;
