//! The instruction-set switch: which form of the rule runs. All forms agree bit for bit.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A form of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Table-driven, for any machine.
    Scalar,
}

/// A name that is no form of the rule, or one this machine cannot run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not an instruction set this machine can run the rule with")]
pub struct UnknownIsa(String);

impl Isa {
    /// The fastest form this machine can run.
    pub fn best() -> Self {
        Isa::Scalar
    }
}

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "auto" => Ok(Isa::best()),
            "scalar" => Ok(Isa::Scalar),
            other => Err(UnknownIsa(other.to_owned())),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Isa::Scalar => "scalar",
        })
    }
}
