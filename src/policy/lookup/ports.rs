//! Ports to rules: for a set of rules whose peers already match, the lowest rule that admits a
//! protocol and port.
//!
//! Ranges of many rules overlap; a table is flattened once into disjoint ranges, each with the
//! lowest rule that covers it, and is then searched by halving.

use std::collections::BTreeMap;

use crate::net::Protocol;

/// Which ports a rule admits, as one range of one protocol, or everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The range; `None`: every port of every protocol, and protocols without ports.
    pub ports: Option<(Protocol, u16, u16)>,
    /// The rule.
    pub rule: u32,
}

/// No rule: larger than every rule, so that the lowest of several answers is found by `min`.
pub(super) const NO_RULE: u32 = u32::MAX;

/// Disjoint ranges, each with the lowest rule that covers it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PortTable {
    /// The lowest rule that admits everything, or [`NO_RULE`].
    pub everything: u32,
    /// TCP, UDP and SCTP, as in [`Protocol::WITH_PORTS`].
    ranges: [Box<[Range]>; 3],
}

/// A range of ports of one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Range {
    from: u16,
    to: u16,
    rule: u32,
}

impl PortTable {
    /// A table of spans in any order.
    pub(super) fn new(spans: &[Span]) -> Self {
        let everything = spans
            .iter()
            .filter(|span| span.ports.is_none())
            .map(|span| span.rule)
            .min()
            .unwrap_or(NO_RULE);
        let ranges = Protocol::WITH_PORTS.map(|protocol| flatten(spans, protocol, everything));
        Self { everything, ranges }
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.everything == NO_RULE && self.ranges.iter().all(|ranges| ranges.is_empty())
    }

    /// The lowest rule that admits this, or [`NO_RULE`].
    pub(super) fn first(&self, protocol: Protocol, port: u16) -> u32 {
        let ranges = match protocol {
            Protocol::TCP => &self.ranges[0],
            Protocol::UDP => &self.ranges[1],
            Protocol::SCTP => &self.ranges[2],
            _ => return self.everything,
        };
        let after = ranges.partition_point(|range| range.from <= port);
        match after.checked_sub(1).and_then(|index| ranges.get(index)) {
            // Ranges behind the rule that admits everything were left out.
            Some(range) if port <= range.to => range.rule,
            _ => self.everything,
        }
    }

    /// What it was made of, flattened: to be merged with others.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        let everything = (self.everything != NO_RULE).then_some(Span {
            ports: None,
            rule: self.everything,
        });
        let ranges = Protocol::WITH_PORTS.iter().zip(&self.ranges);
        everything
            .into_iter()
            .chain(ranges.flat_map(|(&protocol, ranges)| {
                ranges.iter().map(move |range| Span {
                    ports: Some((protocol, range.from, range.to)),
                    rule: range.rule,
                })
            }))
    }
}

/// Sweeps over the ports of one protocol with the rules that are open at each. Ranges that a rule
/// admitting everything precedes are left out.
fn flatten(spans: &[Span], protocol: Protocol, everything: u32) -> Box<[Range]> {
    // At `at`, `rule` opens (+1) or closes (-1). Ports reach 65535, so ends need more than a u16.
    let mut events: Vec<(u32, u32, i32)> = Vec::new();
    for span in spans {
        if let Some((of, from, to)) = span.ports
            && of == protocol
            && from <= to
            && span.rule < everything
        {
            events.push((u32::from(from), span.rule, 1));
            events.push((u32::from(to) + 1, span.rule, -1));
        }
    }
    events.sort_unstable();

    let mut ranges: Vec<Range> = Vec::new();
    let mut open: BTreeMap<u32, i32> = BTreeMap::new();
    let mut rest = events.as_slice();
    while let Some(&(at, ..)) = rest.first() {
        let here = rest.partition_point(|&(other, ..)| other == at);
        let (now, later) = rest.split_at(here);
        for &(_, rule, change) in now {
            let count = open.entry(rule).or_default();
            *count += change;
            if *count == 0 {
                open.remove(&rule);
            }
        }
        if let (Some((&rule, _)), Some(&(next, ..))) = (open.first_key_value(), later.first())
            && let (Ok(from), Ok(to)) = (u16::try_from(at), u16::try_from(next - 1))
        {
            match ranges.last_mut() {
                Some(last) if last.rule == rule && u32::from(last.to) + 1 == at => last.to = to,
                _ => ranges.push(Range { from, to, rule }),
            }
        }
        rest = later;
    }
    ranges.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(protocol: Protocol, from: u16, to: u16, rule: u32) -> Span {
        Span {
            ports: Some((protocol, from, to)),
            rule,
        }
    }

    #[test]
    fn the_lowest_of_overlapping_rules_is_named_at_every_port() {
        let table = PortTable::new(&[
            span(Protocol::TCP, 80, 90, 3),
            span(Protocol::TCP, 85, 100, 1),
            span(Protocol::TCP, 0, 65535, 7),
            span(Protocol::UDP, 53, 53, 0),
        ]);
        for (port, rule) in [
            (0, 7),
            (79, 7),
            (80, 3),
            (84, 3),
            (85, 1),
            (100, 1),
            (101, 7),
        ] {
            assert_eq!(table.first(Protocol::TCP, port), rule, "TCP {port}");
        }
        assert_eq!(table.first(Protocol::TCP, 65535), 7);
        assert_eq!(table.first(Protocol::UDP, 53), 0);
        assert_eq!(table.first(Protocol::UDP, 54), NO_RULE);
        assert_eq!(table.first(Protocol::SCTP, 80), NO_RULE);
        assert_eq!(table.first(Protocol::ICMP, 0), NO_RULE);
    }

    #[test]
    fn a_rule_for_everything_hides_later_rules_and_not_earlier_ones() {
        let everything = Span {
            ports: None,
            rule: 2,
        };
        let table = PortTable::new(&[
            span(Protocol::TCP, 80, 80, 1),
            everything,
            span(Protocol::TCP, 443, 443, 5),
        ]);
        assert_eq!(table.first(Protocol::TCP, 80), 1);
        assert_eq!(table.first(Protocol::TCP, 443), 2);
        assert_eq!(table.first(Protocol::ICMP, 0), 2);
        assert_eq!(PortTable::new(&table.spans().collect::<Vec<_>>()), table);
    }
}
