//! A hex-sphere world: topology, generation, the field rule, ticks and digests.
//!
//! No I/O and no clock. Results are integers, equal bit for bit for every form of the rule, number of
//! threads and machine; only [`geometry`], which is for drawing, computes in floating point.

#![forbid(unsafe_code)]

pub mod beat;
pub mod diff;
pub mod digest;
pub mod error;
pub mod factory;
pub mod generate;
pub mod geometry;
mod live;
mod pool;
pub mod random;
mod read;
pub mod rule;
pub mod ruleset;
pub mod snapshot;
mod sound;
mod step;
pub mod topology;
pub mod world;

pub use error::{FillError, NewWorldError, ReadError, WriteError};
pub use rule::Isa;
pub use ruleset::{Ruleset, RulesetError};
pub use shm::{Corrupt, Segment};
pub use topology::{Sphere, SphereError};
pub use world::{MAX_THREADS, Progress, World, WorldOptions};
