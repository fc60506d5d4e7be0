//! stub
use serde::{Deserialize, Serialize};
/// Why bytes are not a packet that can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Malformed {
    /// Shorter than its headers say.
    Truncated,
}
