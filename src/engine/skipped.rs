//! Ports that the pod's own configuration takes out of the policies' hands, and how people type
//! them. Flows to them are tracked, counted and logged like others; only nobody is asked.
//!
//! Not here: where the words come from (a flag of the sidecar, an annotation that the injector
//! hands on). [`super::Engine`] asks [`SkippedPorts::contains`] before it asks a policy.

use std::fmt;
use std::str::FromStr;

use crate::net::{Originator, Protocol};

/// Ports that no policy is asked about, by who begins the flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkippedPorts {
    /// Of the pod, for flows that a peer begins.
    pub inbound: PortList,
    /// Of the destination, for flows that the pod begins. A Service's own port counts: the packet
    /// carries it.
    pub outbound: PortList,
}

impl SkippedPorts {
    /// Whether a flow that this side begins to this port goes unasked.
    #[inline]
    #[must_use]
    pub fn contains(&self, originator: Originator, protocol: Protocol, port: u16) -> bool {
        match originator {
            Originator::Peer => self.inbound.contains(protocol, port),
            Originator::Pod => self.outbound.contains(protocol, port),
        }
    }
}

/// Ports as they are typed: `8080,9000-9100,53/UDP`. Without a protocol it is TCP, as in a
/// NetworkPolicy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortList(Box<[Span]>);

/// Sorted, and no two of a protocol overlap or touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    protocol: Protocol,
    first: u16,
    last: u16,
}

/// What cannot be read of a list of ports: all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "ports from 1 to 65535 and ranges of them, with /UDP, /SCTP or, for TCP, nothing behind them \
     (8080,9000-9100,53/UDP); these cannot be read: {}",
    quoted(.0)
)]
pub struct BadPorts(pub Vec<String>);

impl PortList {
    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn contains(&self, protocol: Protocol, port: u16) -> bool {
        let after = self
            .0
            .partition_point(|span| (span.protocol, span.first) <= (protocol, port));
        after.checked_sub(1).is_some_and(|at| {
            let span = self.0[at];
            span.protocol == protocol && port <= span.last
        })
    }
}

impl FromStr for PortList {
    type Err = BadPorts;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (mut spans, mut bad) = (Vec::new(), Vec::new());
        for entry in text.split(',').map(str::trim) {
            match Span::read(entry) {
                Some(span) => spans.push(span),
                None => bad.push(entry.to_owned()),
            }
        }
        if bad.is_empty() {
            Ok(Self(merged(spans).into()))
        } else {
            Err(BadPorts(bad))
        }
    }
}

impl fmt::Display for PortList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, span) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", span.first)?;
            if span.first != span.last {
                write!(f, "-{}", span.last)?;
            }
            if span.protocol != Protocol::TCP {
                write!(f, "/{}", span.protocol)?;
            }
        }
        Ok(())
    }
}

impl Span {
    fn read(text: &str) -> Option<Self> {
        let (ports, protocol) = match text.split_once('/') {
            None => (text, Protocol::TCP),
            Some((ports, name)) => (ports, name.parse().ok()?),
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let span = Self {
            protocol,
            first: port(first)?,
            last: port(last)?,
        };
        (protocol.has_ports() && span.first <= span.last).then_some(span)
    }
}

/// Digits only: `parse` alone takes a sign, too.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    spans.dedup_by(|next, span| {
        let joins = next.protocol == span.protocol && next.first <= span.last.saturating_add(1);
        if joins {
            span.last = span.last.max(next.last);
        }
        joins
    });
    spans
}

fn quoted(entries: &[String]) -> String {
    let entries: Vec<_> = entries.iter().map(|entry| format!("{entry:?}")).collect();
    entries.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> PortList {
        text.parse().unwrap_or_else(|bad| panic!("{bad}"))
    }

    #[test]
    fn ports_ranges_and_protocols_are_read_and_nothing_else_is_in_the_list() {
        let list = list(" 8080, 9000-9100/tcp,53/UDP ,9050-9200,9201");
        for port in 1..=u16::MAX {
            let tcp = port == 8080 || (9000..=9201).contains(&port);
            assert_eq!(list.contains(Protocol::TCP, port), tcp, "{port}/TCP");
            assert_eq!(list.contains(Protocol::UDP, port), port == 53, "{port}/UDP");
            assert!(!list.contains(Protocol::SCTP, port));
        }
        assert_eq!(list.to_string(), "8080,9000-9201,53/UDP");
        assert_eq!(self::list(&list.to_string()), list);
    }

    #[test]
    fn the_last_port_is_in_a_range_that_ends_with_it() {
        let list = list("65535,1-65535/SCTP");
        assert!(list.contains(Protocol::TCP, 65_535) && !list.contains(Protocol::TCP, 65_534));
        assert!(list.contains(Protocol::SCTP, 1) && list.contains(Protocol::SCTP, 65_535));
    }

    #[test]
    fn no_words_are_no_ports() {
        assert!(list("").is_empty() && list("  ").is_empty());
        assert!(!list("").contains(Protocol::TCP, 80));
    }

    #[test]
    fn every_entry_that_cannot_be_read_is_named() {
        let bad = "80,0,+1,http,9-8,65536,5/ICMP,,7/"
            .parse::<PortList>()
            .expect_err("nothing but the first is good");
        assert_eq!(
            bad.0,
            ["0", "+1", "http", "9-8", "65536", "5/ICMP", "", "7/"]
        );
        assert!(bad.to_string().contains(r#": "0", "+1", "http","#));
    }

    #[test]
    fn each_side_has_its_own_list_and_protocols_without_ports_are_in_none() {
        let ports = SkippedPorts {
            inbound: list("80"),
            outbound: list("443"),
        };
        assert!(ports.contains(Originator::Peer, Protocol::TCP, 80));
        assert!(!ports.contains(Originator::Pod, Protocol::TCP, 80));
        assert!(ports.contains(Originator::Pod, Protocol::TCP, 443));
        assert!(!ports.contains(Originator::Pod, Protocol::ICMP, 0));
    }
}
