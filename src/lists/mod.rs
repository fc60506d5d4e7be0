//! The allow lists of all pods, in parts that can be sent: compiled once, fetched by many.
//!
//! One pod's [`AllowList`](crate::policy::allow_list::AllowList) holds every address that its rules
//! admit, so ten thousand pods that admit the same thousand peers would be told of each of them ten
//! thousand times. Here a list is taken apart: its rules, which pods with equal labels share
//! ([`wire::SharedList`]), and the members of its peer sets in slices of a bounded size
//! ([`wire::PeerSlice`]), which all lists share that use the same selector.
//!
//! ```text
//! policy::cluster ─► catalogue ─► wire ══ HTTP ══► stream ─► held ─► policy::allow_list
//!  (the controller)  who needs what                 (the sidecar)     what policy::compile_near gives
//!                                                                kept: between two runs
//! ```
//!
//! Not here: HTTP, tokens, files. What a list means is [`crate::policy`]'s business.

pub mod catalogue;
mod definition;
mod graves;
pub mod held;
pub mod kept;
pub mod lines;
mod member;
pub mod say;
pub mod stream;
mod template;
mod trie;
pub mod wire;
