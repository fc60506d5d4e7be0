//! What may pass from one end to another: ports as ranges per protocol, and whether protocols without
//! ports pass too. A value with set operations; who it is about stands elsewhere.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::net::Protocol;

/// The ports that a connection can be made to: 0 is reserved (RFC 6335, section 6).
const PORTS: (u16, u16) = (1, u16::MAX);

/// A set of connections: TCP, UDP and SCTP by port, and everything that has no ports (ICMP, …) as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Connections {
    /// In the order of [`Protocol::WITH_PORTS`].
    ports: [Ports; 3],
    without_ports: bool,
}

/// Ranges of ports, both ends included: sorted, disjoint, and with a gap between any two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ports(Vec<(u16, u16)>);

impl Connections {
    /// No connection at all, as a constant.
    pub(super) const NONE: Self = Self {
        ports: [const { Ports(Vec::new()) }; 3],
        without_ports: false,
    };

    /// No connection at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Every port of every protocol, and protocols without ports.
    #[must_use]
    pub fn all() -> Self {
        Self {
            ports: std::array::from_fn(|_| Ports(vec![PORTS])),
            without_ports: true,
        }
    }

    /// A range of ports of one protocol, both ends included. Nothing, if it is empty or the protocol
    /// has no ports.
    #[must_use]
    pub fn range(protocol: Protocol, from: u16, to: u16) -> Self {
        let mut set = Self::default();
        let from = from.max(PORTS.0);
        let with_ports = Protocol::WITH_PORTS.iter().zip(&mut set.ports);
        for (_, ports) in with_ports.filter(|(of, _)| **of == protocol && from <= to) {
            ports.0.push((from, to));
        }
        set
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_none(&self) -> bool {
        !self.without_ports && self.ports.iter().all(|ports| ports.0.is_empty())
    }

    /// Whether everything is in it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.without_ports && self.ports.iter().all(Ports::is_full)
    }

    /// Whether a connection is in it; of a protocol without ports the port does not matter.
    #[must_use]
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        match Protocol::WITH_PORTS.iter().position(|of| *of == protocol) {
            Some(index) => self.ports[index].contains(port),
            None => self.without_ports,
        }
    }

    /// Whether protocols without ports, such as ICMP, are in it.
    #[must_use]
    pub fn without_ports(&self) -> bool {
        self.without_ports
    }

    /// The ranges of a protocol's ports, ascending, both ends included.
    #[must_use]
    pub fn ranges(&self, protocol: Protocol) -> &[(u16, u16)] {
        let index = Protocol::WITH_PORTS.iter().position(|of| *of == protocol);
        index.map_or(&[], |index| self.ports[index].0.as_slice())
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            ports: self.by_protocol(other, Ports::union),
            without_ports: self.without_ports || other.without_ports,
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            ports: self.by_protocol(other, Ports::intersection),
            without_ports: self.without_ports && other.without_ports,
        }
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self {
            ports: self.by_protocol(other, |mine, theirs| {
                mine.intersection(&theirs.complement())
            }),
            without_ports: self.without_ports && !other.without_ports,
        }
    }

    fn by_protocol(&self, other: &Self, merge: impl Fn(&Ports, &Ports) -> Ports) -> [Ports; 3] {
        std::array::from_fn(|index| merge(&self.ports[index], &other.ports[index]))
    }
}

impl Ports {
    fn is_full(&self) -> bool {
        self.0 == [PORTS]
    }

    fn contains(&self, port: u16) -> bool {
        let after = self.0.partition_point(|&(from, _)| from <= port);
        let range = after.checked_sub(1).and_then(|index| self.0.get(index));
        range.is_some_and(|&(_, to)| port <= to)
    }

    fn union(&self, other: &Self) -> Self {
        let mut all = [self.0.as_slice(), &other.0].concat();
        all.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(all.len());
        for (from, to) in all {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Self(merged)
    }

    fn intersection(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.0.as_slice(), other.0.as_slice());
        let mut both = Vec::new();
        while let (Some(&(from, to)), Some(&(other_from, other_to))) =
            (mine.first(), theirs.first())
        {
            let (low, high) = (from.max(other_from), to.min(other_to));
            if low <= high {
                both.push((low, high));
            }
            // The range that ends first can meet nothing further.
            if to <= other_to {
                mine = &mine[1..];
            } else {
                theirs = &theirs[1..];
            }
        }
        Self(both)
    }

    fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(PORTS.0);
        for &(from, to) in &self.0 {
            if let Some(start) = next.filter(|start| *start < from) {
                gaps.push((start, from - 1));
            }
            next = to.checked_add(1);
        }
        gaps.extend(next.map(|start| (start, PORTS.1)));
        Self(gaps)
    }

    /// `80`, `8000-8100`.
    fn words(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(from, to)| match from == to {
            true => from.to_string(),
            false => format!("{from}-{to}"),
        })
    }
}

impl fmt::Display for Connections {
    /// `TCP 80,8000-8100, UDP 53`; `all connections`; `no connections`; what lets protocols without
    /// ports pass by what it leaves out: `all but TCP 80`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.pad("no connections");
        }
        if self.is_all() {
            return f.pad("all connections");
        }
        if self.without_ports {
            let missing = Self::all().difference(self);
            return f.pad(&format!("all but {missing}"));
        }
        let mut words = Vec::new();
        for (protocol, ports) in Protocol::WITH_PORTS.iter().zip(&self.ports) {
            if ports.is_full() {
                words.push(format!("{protocol} all ports"));
            } else if !ports.0.is_empty() {
                let ports: Vec<String> = ports.words().collect();
                words.push(format!("{protocol} {}", ports.join(",")));
            }
        }
        f.pad(&words.join(", "))
    }
}

impl Serialize for Connections {
    /// `{"all": true}`, or the ranges by protocol: `{"TCP": ["80", "8000-8100"], "withoutPorts":
    /// false}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.is_all() {
            map.serialize_entry("all", &true)?;
            return map.end();
        }
        for (protocol, ports) in Protocol::WITH_PORTS.iter().zip(&self.ports) {
            if !ports.0.is_empty() {
                map.serialize_entry(protocol, &ports.words().collect::<Vec<_>>())?;
            }
        }
        map.serialize_entry("withoutPorts", &self.without_ports)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(from: u16, to: u16) -> Connections {
        Connections::range(Protocol::TCP, from, to)
    }

    #[test]
    fn neighbours_and_overlaps_become_one_range() {
        let joined = tcp(80, 80).union(&tcp(81, 90)).union(&tcp(85, 100));
        assert_eq!(joined, tcp(80, 100));
        assert_eq!(tcp(1, 79).union(&tcp(80, u16::MAX)), tcp(1, u16::MAX));
        assert_eq!(tcp(0, 10), tcp(1, 10));
        assert!(Connections::range(Protocol::ICMP, 0, 10).is_none());
        assert!(tcp(10, 9).is_none());
    }

    #[test]
    fn what_is_taken_out_and_put_back_is_the_same() {
        let (all, web) = (Connections::all(), tcp(80, 80).union(&tcp(65535, 65535)));
        let rest = all.difference(&web);
        assert_eq!(rest.union(&web), all);
        assert!(rest.intersection(&web).is_none());
        assert!(rest.contains(Protocol::TCP, 79) && !rest.contains(Protocol::TCP, 80));
        assert!(rest.contains(Protocol::ICMP, 0) && !web.contains(Protocol::ICMP, 0));
        assert!(all.difference(&all).is_none());
    }

    #[test]
    fn a_set_in_words() {
        let web = tcp(80, 80).union(&tcp(8000, 8100));
        let some = web.union(&Connections::range(Protocol::UDP, 53, 53));
        assert_eq!(some.to_string(), "TCP 80,8000-8100, UDP 53");
        assert_eq!(tcp(1, u16::MAX).to_string(), "TCP all ports");
        assert_eq!(Connections::all().to_string(), "all connections");
        assert_eq!(Connections::none().to_string(), "no connections");
        let rest = Connections::all().difference(&tcp(80, 80));
        assert_eq!(rest.to_string(), "all but TCP 80");
        let json = serde_json::to_string(&some).expect("JSON");
        assert_eq!(
            json,
            r#"{"TCP":["80","8000-8100"],"UDP":["53"],"withoutPorts":false}"#
        );
    }

    #[test]
    fn all_ports_of_all_protocols_are_less_than_everything() {
        let mut ports = Connections::none();
        for protocol in Protocol::WITH_PORTS {
            ports = ports.union(&Connections::range(protocol, 0, u16::MAX));
        }
        assert!(!ports.is_all());
        assert!(Connections::all().difference(&ports).without_ports());
    }
}
