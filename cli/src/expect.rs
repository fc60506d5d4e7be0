//! What must come of a connection: of a story's probe, a recorded case, a test.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What must come of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expect {
    /// It is made.
    Allow,
    /// It is not.
    Block,
}

impl Expect {
    /// What came of a connection that was or was not made.
    pub(crate) const fn of(made: bool) -> Self {
        if made { Self::Allow } else { Self::Block }
    }

    /// `allow` or `block`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
