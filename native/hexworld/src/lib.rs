//! A hex-sphere world: topology, generation, the field rule, ticks and digests.
//!
//! No I/O and no clock. Results are integers, equal bit for bit for every form of the rule, number of
//! threads and machine; only [`geometry`], which is for drawing, computes in floating point.

#![forbid(unsafe_code)]

pub mod beat;
pub mod digest;
pub mod generate;
pub mod geometry;
mod pool;
pub mod random;
mod rows;
pub mod rule;
pub mod ruleset;
mod step;
pub mod topology;
pub mod world;

pub use rule::Isa;
pub use ruleset::{Ruleset, RulesetError};
pub use topology::{Sphere, SphereError};
pub use world::{Busy, FillError, MAX_THREADS, NewWorldError, Progress, ReadError, World, WorldOptions};
