//! The instruction-set switch: which form of the rule runs. All forms agree bit for bit.

use std::fmt;

/// A form of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Table-driven, for any machine.
    Scalar,
}

impl Isa {
    /// The fastest form this machine can run.
    pub fn best() -> Self {
        Isa::Scalar
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Isa::Scalar => "scalar",
        })
    }
}
