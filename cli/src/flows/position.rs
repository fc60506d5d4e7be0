//! Where one is in a container's log, so that a new connection goes on without losing or doubling a
//! line.
//!
//! The API has only `sinceTime`, in whole seconds (`metav1.Time`), and lines of stdout and stderr may
//! stand in the log a little out of the order of their times. So the log is read again from a second
//! before the last line's, and lines that came already are left out by time and content.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};

/// How far back the log is read again, beyond the whole second of the last line: the runtime
/// stamps stdout and stderr in two threads, which are microseconds apart.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// What names a line: its time, and a hash of its text.
type Name = (Timestamp, u64);

/// A place in a log.
#[derive(Debug, Clone, Default)]
pub(super) struct Position {
    hasher: RandomState,
    last: Option<Timestamp>,
    /// Lines that a new connection would bring again.
    recent: VecDeque<Name>,
    /// Of those, the ones which this connection has not brought again yet.
    expected: HashMap<Name, u32, RandomState>,
}

impl Position {
    /// From when on the log is to be read; `None`: from its beginning.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let second = Timestamp::from_second(self.last?.as_second()).ok()?;
        second.checked_sub(OVERLAP).ok()
    }

    /// A connection begins.
    pub(super) fn reconnect(&mut self) {
        self.expected.clear();
        for name in &self.recent {
            *self.expected.entry(*name).or_default() += 1;
        }
    }

    /// A line as the API sends it with `timestamps=true`; its text if it is new.
    pub(super) fn take<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let stamped = line.split_once(' ');
        let stamped =
            stamped.and_then(|(time, text)| Some((time.parse::<Timestamp>().ok()?, text)));
        // Not stamped after all: nothing to recognise it by, and better twice than never.
        let Some((time, text)) = stamped else {
            return Some(line);
        };
        let name = (time, self.hasher.hash_one(text));
        if let Some(count) = self.expected.get_mut(&name) {
            *count -= 1;
            if *count == 0 {
                self.expected.remove(&name);
            }
            return None;
        }
        self.recent.push_back(name);
        self.last = self.last.max(Some(time));
        if let Some(since) = self.since() {
            self.recent.retain(|(time, _)| *time >= since);
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log as a kubelet serves it: from a time on, cut after some lines.
    fn serve(log: &[&str], position: &mut Position, most: usize) -> Vec<String> {
        let since = position.since();
        position.reconnect();
        let from = log.iter().filter(|line| {
            let time: Timestamp = line.split_once(' ').unwrap().0.parse().unwrap();
            since.is_none_or(|since| time >= since)
        });
        from.take(most)
            .filter_map(|line| position.take(line).map(str::to_owned))
            .collect()
    }

    const LOG: [&str; 8] = [
        "2026-11-21T10:00:00.100000000Z a",
        "2026-11-21T10:00:00.900000000Z b",
        "2026-11-21T10:00:01.500000000Z c",
        "2026-11-21T10:00:01.500000000Z c",
        "2026-11-21T10:00:01.500000000Z d",
        "2026-11-21T10:00:01.499999999Z e",
        "2026-11-21T10:00:04.000000000Z f",
        "2026-11-21T10:00:04.000000000Z g",
    ];

    #[test]
    fn wherever_the_connection_breaks_every_line_comes_once() {
        for first in 0..=LOG.len() {
            for second in 0..=LOG.len() {
                let mut position = Position::default();
                let mut seen = serve(&LOG, &mut position, first);
                seen.extend(serve(&LOG, &mut position, second));
                seen.extend(serve(&LOG, &mut position, LOG.len()));
                assert_eq!(
                    seen,
                    ["a", "b", "c", "c", "d", "e", "f", "g"],
                    "{first} {second}"
                );
            }
        }
    }

    #[test]
    fn memory_is_what_a_new_connection_would_bring_again() {
        let mut position = Position::default();
        for second in 0..1000 {
            let line = format!("{} x", Timestamp::from_second(second).unwrap());
            assert_eq!(position.take(&line), Some("x"));
        }
        assert_eq!(position.recent.len(), 2);
    }
}
