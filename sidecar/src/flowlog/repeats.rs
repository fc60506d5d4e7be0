//! A blocked flow that tries again is one line, and then a count.
//!
//! A client whose connection is blocked retries for minutes: the kernel repeats the SYN, then the
//! application dials again from another port. What makes two blocks the same is therefore
//! everything but the port that the client picked. When the rules have changed the same block is
//! another answer and gets a line again. No clock here: the time comes in.

use std::collections::HashMap;
use std::net::IpAddr;

use sidewall::flow::Millis;
use sidewall::net::{Direction, Protocol};
use sidewall::record::{FlowRecord, RecordKind};
use sidewall::verdict::{Reason, Verdict};

/// How often a retried flow is told again, as a count.
pub(super) const WINDOW_MS: u64 = 15_000;

/// Different blocked flows that are remembered: some 400 KB. A port scan makes more than that, and
/// beyond it each one is a line of its own, which the rate limit bounds.
const MOST: usize = 4096;

/// What makes two blocked flows the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Same {
    direction: Direction,
    pod: IpAddr,
    peer: IpAddr,
    protocol: Protocol,
    /// The port of the side that was called, or the type of an ICMP message.
    called: u16,
    reason: Reason,
}

#[derive(Debug)]
struct Repeated {
    last: FlowRecord,
    count: u64,
    window_began: Millis,
}

/// Remembers what was blocked lately.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    blocked: HashMap<Same, Repeated>,
}

/// A retried flow at the end of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// The last of the blocks that were not told one by one.
    pub(super) last: FlowRecord,
    /// How many those were.
    pub(super) count: u64,
}

impl Repeats {
    /// Whether this record gets a line now. If not, it is part of a later [`Count`].
    pub(super) fn tells(&mut self, record: &FlowRecord) -> bool {
        let (RecordKind::Verdict, Verdict::Block(reason)) = (record.kind, record.verdict) else {
            return true;
        };
        let same = Same {
            direction: record.direction,
            pod: record.key.pod,
            peer: record.key.peer,
            protocol: record.key.protocol,
            called: called_port(record),
            reason,
        };
        if let Some(repeated) = self.blocked.get_mut(&same) {
            repeated.last = *record;
            repeated.count += 1;
            return false;
        }
        if self.blocked.len() < MOST {
            let first = Repeated {
                last: *record,
                count: 0,
                window_began: record.at,
            };
            self.blocked.insert(same, first);
        }
        true
    }

    /// Counts whose window is over. A flow that did not try again in its window is forgotten, and
    /// its next block is a line again.
    pub(super) fn due(&mut self, now: Millis) -> Vec<Count> {
        self.take(
            |repeated| now.0.saturating_sub(repeated.window_began.0) >= WINDOW_MS,
            now,
        )
    }

    /// Everything that is not told yet, at the end.
    pub(super) fn rest(&mut self, now: Millis) -> Vec<Count> {
        self.take(|_| true, now)
    }

    /// Everything that is not told yet; the next block of each flow is a line again.
    pub(super) fn start_anew(&mut self, now: Millis) -> Vec<Count> {
        let counts = self.rest(now);
        self.blocked.clear();
        counts
    }

    fn take(&mut self, over: impl Fn(&Repeated) -> bool, now: Millis) -> Vec<Count> {
        let mut counts = Vec::new();
        self.blocked.retain(|_, repeated| {
            if !over(repeated) {
                return true;
            }
            if repeated.count == 0 {
                return false;
            }
            counts.push(Count {
                last: repeated.last,
                count: std::mem::take(&mut repeated.count),
            });
            repeated.window_began = now;
            true
        });
        counts.sort_by_key(|count| count.last.at);
        counts
    }
}

/// The port that the packet was sent to; for ICMP the type of the message.
pub(super) fn called_port(record: &FlowRecord) -> u16 {
    match (record.key.protocol.has_ports(), record.direction) {
        (false, _) => u16::from(record.flags),
        (true, Direction::Ingress) => record.key.pod_port,
        (true, Direction::Egress) => record.key.peer_port,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{allowed, blocked};
    use super::*;

    fn at(mut record: FlowRecord, ms: u64) -> FlowRecord {
        record.at = Millis(ms);
        record
    }

    #[test]
    fn a_blocked_flow_that_retries_is_one_line_and_then_a_count_every_15_seconds() {
        let mut repeats = Repeats::default();
        assert!(repeats.tells(&at(blocked(50_000), 0)));
        for second in 1..=14 {
            assert!(!repeats.tells(&at(blocked(50_000), second * 1000)));
        }
        assert_eq!(repeats.due(Millis(14_999)), []);
        let last = at(blocked(50_000), 14_000);
        assert_eq!(repeats.due(Millis(15_000)), [Count { last, count: 14 }]);
        assert_eq!(
            repeats.due(Millis(29_999)),
            [],
            "the next window has just begun"
        );
        assert!(!repeats.tells(&at(blocked(50_000), 29_000)));
        let last = at(blocked(50_000), 29_000);
        assert_eq!(repeats.due(Millis(30_000)), [Count { last, count: 1 }]);
    }

    #[test]
    fn a_client_that_dials_again_from_another_port_is_the_same() {
        let mut repeats = Repeats::default();
        assert!(repeats.tells(&blocked(50_000)));
        assert!(!repeats.tells(&blocked(50_001)));
    }

    #[test]
    fn another_reason_is_another_line() {
        let mut repeats = Repeats::default();
        assert!(repeats.tells(&blocked(50_000)));
        let mut other = blocked(50_000);
        other.verdict = Verdict::Block(Reason::InvalidPolicy);
        assert!(repeats.tells(&other));
    }

    #[test]
    fn a_flow_that_gave_up_is_forgotten_and_its_next_block_is_a_line() {
        let mut repeats = Repeats::default();
        assert!(repeats.tells(&at(blocked(50_000), 0)));
        assert_eq!(repeats.due(Millis(15_000)), []);
        assert!(repeats.tells(&at(blocked(50_000), 15_001)));
    }

    #[test]
    fn what_is_allowed_is_always_told() {
        let mut repeats = Repeats::default();
        assert!(repeats.tells(&allowed()));
        assert!(repeats.tells(&allowed()));
        assert_eq!(repeats.rest(Millis(99_999)), []);
    }

    #[test]
    fn after_a_new_start_the_count_so_far_is_told_and_the_next_block_is_a_line() {
        let mut repeats = Repeats::default();
        assert!(repeats.tells(&at(blocked(50_000), 0)));
        assert!(!repeats.tells(&at(blocked(50_000), 10)));
        let last = at(blocked(50_000), 10);
        assert_eq!(repeats.start_anew(Millis(20)), [Count { last, count: 1 }]);
        assert!(repeats.tells(&at(blocked(50_000), 30)));
    }

    #[test]
    fn what_is_not_told_yet_is_told_at_the_end() {
        let mut repeats = Repeats::default();
        repeats.tells(&at(blocked(50_000), 0));
        repeats.tells(&at(blocked(50_000), 10));
        assert_eq!(repeats.rest(Millis(20)).len(), 1);
        assert_eq!(repeats.rest(Millis(21)).len(), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        for port in 0..=u16::MAX {
            let mut scan = blocked(50_000);
            scan.key.pod_port = port;
            assert!(repeats.tells(&scan));
        }
        assert_eq!(repeats.blocked.len(), MOST);
    }
}
