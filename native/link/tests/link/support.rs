//! What several tests need.

pub mod check;
pub mod cut;
pub mod entries;
pub mod files;
pub mod program;
