//! The webhook's certificate: made here, renewed here, and served without a restart.
//!
//! ```text
//! leader:  make ─► caBundle (old and new) ─► a while later ─► Secret
//! all:     Secret, or files ─► Served ─► the next TLS handshake
//! ```
//!
//! Each certificate has an authority of its own, whose key is forgotten once it has signed: there
//! is nothing to steal that could sign another. While one replaces the other, both authorities
//! stand in the caBundle, so at no time does the API server meet a certificate it does not trust.

pub mod files;
pub mod keeper;
pub mod kept;
pub mod make;
pub mod secret;
pub mod served;

#[cfg(test)]
mod tests;
