//! Bytes on the wire that no crate at hand makes for us: SCTP's handshake, for kernels without SCTP.

pub(crate) mod sctp;
