//! The tables: how they are made, what is in their rows, and the checks over them.

pub(crate) mod apply;
pub mod chain;
pub(crate) mod open;
pub mod plan;
pub(crate) mod prune;
pub mod read;
pub(crate) mod rows;
