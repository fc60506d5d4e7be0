//! Flags whose value is one of a few words.

use std::fmt;

/// Defines an enum of words: its spelling, and how it is read.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// Every spelling, in order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// Reads the spelling.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Whether what is not allowed is blocked or only logged.
    Mode {
        /// It is blocked.
        Enforce = "enforce",
        /// It passes, and is logged with verdict AUDIT.
        Audit = "audit",
    }
}

words! {
    /// How a blocked packet is answered.
    OnBlock {
        /// The own pod gets a TCP reset or ICMP "administratively prohibited", so that the
        /// application fails at once; the network gets silence.
        Reject = "reject",
        /// Nobody gets an answer.
        Drop = "drop",
    }
}

words! {
    /// Where policies come from.
    PolicySource {
        /// The pod's own list, ready-made, from the controller.
        Allowlists = "allowlists",
        /// The cluster's objects, from the API server.
        Api = "api",
        /// Files.
        Manifests = "manifests",
    }
}

words! {
    /// How packets get to the sidecar.
    Steering {
        /// The best that is possible here.
        Auto = "auto",
        /// eBPF programs.
        Bpf = "bpf",
        /// Plain tc filters.
        Tc = "tc",
    }
}

words! {
    /// Whether the kernel carries established flows.
    Offload {
        /// Where eBPF steering is in force.
        On = "on",
        /// Every packet goes through user space.
        Off = "off",
    }
}

words! {
    /// What holds for a Service some of whose endpoints are allowed.
    ServiceMixed {
        /// All of it passes.
        Allow = "allow",
        /// All of it is blocked.
        Block = "block",
    }
}

words! {
    /// The flow log's format.
    FlowLogFormat {
        /// One JSON object a line, in Hubble's schema.
        Json = "json",
        /// One short line for people.
        Human = "human",
        /// Human on a terminal, else JSON.
        Auto = "auto",
        /// No flow log.
        None = "none",
    }
}
