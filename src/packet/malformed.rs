//! Why bytes are not a packet that can be judged, each with its source.

use serde::{Deserialize, Serialize};

/// The kinds, their names, and their names as reasons, written once.
macro_rules! malformed {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why bytes are not a packet that can be judged.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Malformed {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Malformed {
            /// Every kind once, each at the place its [`Malformed::index`] tells.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant,)+];

            /// How many kinds there are.
            pub const COUNT: usize = [$($name,)+].len();

            /// Position in [`Malformed::ALL`].
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// Its name in kebab-case, the same as in serde.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Its name as a [`crate::verdict::Reason`]: with `malformed-` before it.
            #[must_use]
            pub(crate) const fn as_reason(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("malformed-", $name),)+
                }
            }
        }
    };
}

malformed! {
    /// Shorter than its headers say.
    Truncated = "truncated",
    /// Neither IPv4 nor IPv6 in the first four bits.
    BadVersion = "bad-version",
    /// A header that claims to be shorter than its fixed part: IPv4 IHL or TCP data offset below
    /// five words (RFC 791 §3.1, RFC 9293 §3.1), an IPv4 option that runs past the header.
    HeaderLength = "header-length",
    /// Lengths that contradict each other: an IPv4 total length below the header's, a UDP length
    /// that is not the datagram's (RFC 768; the kernel drops it in `__udp4_lib_rcv`).
    LengthMismatch = "length-mismatch",
    /// IPv6 payload length 0: a jumbogram (RFC 2675), which no pod network carries, or nothing.
    ZeroPayloadLength = "zero-payload-length",
    /// A first fragment too short for its transport header, so that ports or flags would be read
    /// by the receiver alone (RFC 1858 §3, RFC 7112 §5).
    TinyFragment = "tiny-fragment",
    /// A TCP fragment at offset 8, which would write over the flags that were judged in the first
    /// (RFC 1858 §4, RFC 3128).
    OverlappingFragment = "overlapping-fragment",
    /// A fragment that is empty, ends past 65 535 bytes, or is not the last and not a multiple of
    /// 8 bytes long (RFC 791 §3.2, RFC 8200 §4.5; `ip_frag_queue` drops it).
    FragmentSize = "fragment-size",
    /// Hop-by-hop options that are not first, or a second fragment header (RFC 8200 §4.1).
    ExtensionOrder = "extension-order",
    /// More extension headers than a chain in order can have (RFC 8200 §4.1).
    TooManyExtensions = "too-many-extensions",
    /// The packet goes on to another destination than its header names: IPv4 loose or strict
    /// source route (RFC 7126 §4.3, §4.4), an IPv6 routing header with segments left (RFC 5095).
    /// The policy would be asked about the wrong address.
    SourceRoute = "source-route",
    /// A combination of TCP flags that no stack sends (`tcp_valid_flags` in
    /// nf_conntrack_proto_tcp.c): no flag at all, SYN with FIN, SYN with RST, FIN without ACK.
    TcpFlags = "tcp-flags",
    /// ICMP for IPv4 inside IPv6, or the reverse.
    IcmpVersion = "icmp-version",
    /// An ICMP error that quotes too little of the packet it is about (RFC 792: the header and
    /// eight bytes), or one of the other family.
    BadQuote = "bad-quote",
    /// An address that cannot be on a wire: loopback, a multicast or broadcast source, IPv4-mapped
    /// IPv6 (RFC 1122 §3.2.1.3, RFC 4291 §2.5).
    BogonAddress = "bogon-address",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_serde() {
        for (at, malformed) in Malformed::ALL.into_iter().enumerate() {
            assert_eq!(malformed.index(), at);
            let json = serde_json::to_string(&malformed).expect("a unit variant serializes");
            assert_eq!(json, format!("{:?}", malformed.as_str()));
        }
    }
}
