//! Which of the lines that pass the filter: the first, the last, a span of time; sorted or as they
//! come.

use std::collections::VecDeque;

use anyhow::bail;
use jiff::Timestamp;
use sidewall::flows::Line;

use super::times;
use crate::flows::Entry;

/// How many flows are shown when nothing is said, as in Hubble (`hubble/pkg/defaults`).
const LAST: usize = 20;

/// The flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which of the flows")]
pub(crate) struct Selection {
    /// Go on with flows as they come.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// All flows that the logs still hold.
    #[arg(long, conflicts_with_all = ["first", "last"])]
    all: bool,
    /// The last flows only [default: 20, of a cluster]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    last: Option<usize>,
    /// The first flows only.
    #[arg(long, value_name = "N", value_parser = at_least_one, conflicts_with_all = ["last", "follow"])]
    first: Option<usize>,
    /// From this time on: 3s, 4m, 1h43m ago, or 2026-11-21, 2026-11-21T10:00Z, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until this time.
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<String>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1 on".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// What the flags mean.
#[derive(Debug, Clone, Default)]
pub(super) struct Span {
    pub(super) since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: Limit,
    pub(super) follow: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Limit {
    #[default]
    All,
    First(usize),
    Last(usize),
    /// Nothing of the past.
    None,
}

impl Selection {
    /// Reads the times. A file is read whole where a cluster shows its last flows only.
    pub(super) fn span(&self, now: Timestamp, from_files: bool) -> anyhow::Result<Span> {
        let time = |flag: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match times::read(text, now) {
                Some(time) => Ok(Some(time)),
                None => bail!(
                    "--{flag}: {text:?} is no time: 3s, 4m, 1h43m (ago), 2026-11-21, 2026-11-21T10:00Z or RFC 3339"
                ),
            },
        };
        let (since, until) = (time("since", &self.since)?, time("until", &self.until)?);
        let limit = match (self.first, self.last) {
            (Some(first), _) => Limit::First(first),
            (_, Some(last)) => Limit::Last(last),
            _ if self.all || since.is_some() || until.is_some() || from_files => Limit::All,
            _ if self.follow => Limit::None,
            _ => Limit::Last(LAST),
        };
        Ok(Span {
            since,
            until,
            limit,
            // A file has no more to come, as in Hubble.
            follow: self.follow && !from_files,
        })
    }
}

impl Span {
    /// Whether anything of what the logs hold is to be shown.
    pub(super) fn wants_past(&self) -> bool {
        self.limit != Limit::None
    }

    /// The same for what is still to come.
    pub(super) fn without_limits(&self) -> Self {
        Self {
            limit: Limit::All,
            ..self.clone()
        }
    }

    /// Whether a line is of that time. One without a time is as old as can be, as in Hubble.
    pub(super) fn contains(&self, line: &Line) -> bool {
        let time = line.time.unwrap_or(Timestamp::UNIX_EPOCH);
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }

    /// Holds back what must wait.
    pub(super) fn keeper(&self, sort: bool) -> Keeper {
        Keeper {
            limit: self.limit,
            sort,
            held: VecDeque::new(),
            passed: 0,
        }
    }
}

/// Entries that cannot be shown yet.
pub(super) struct Keeper {
    limit: Limit,
    sort: bool,
    held: VecDeque<Box<Entry>>,
    passed: usize,
}

impl Keeper {
    /// One more; what can be shown now.
    pub(super) fn take(&mut self, entry: Box<Entry>) -> Option<Box<Entry>> {
        match self.limit {
            Limit::None => None,
            _ if self.sort => {
                self.held.push_back(entry);
                // Sorted now and then, so that what is held stays within twice what is asked for.
                if let Limit::Last(most) | Limit::First(most) = self.limit
                    && self.held.len() > 1024.max(most.saturating_mul(2))
                {
                    self.cut();
                }
                None
            }
            Limit::All => Some(entry),
            Limit::First(_) => {
                self.passed += 1;
                Some(entry)
            }
            Limit::Last(most) => {
                if self.held.len() == most {
                    self.held.pop_front();
                }
                self.held.push_back(entry);
                None
            }
        }
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.limit, Limit::First(most) if self.passed >= most)
    }

    /// What was held back, when nothing more comes.
    pub(super) fn rest(mut self) -> VecDeque<Box<Entry>> {
        if self.sort {
            self.cut();
        }
        self.held
    }

    fn cut(&mut self) {
        // Stable: lines of one time stay in the order of their log.
        self.held
            .make_contiguous()
            .sort_by_key(|entry| entry.line.time);
        match self.limit {
            Limit::Last(most) => drop(self.held.drain(..self.held.len().saturating_sub(most))),
            Limit::First(most) => self.held.truncate(most),
            Limit::All | Limit::None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64) -> Box<Entry> {
        let time = Timestamp::from_second(second).unwrap();
        let text = format!(r#"{{"time":"{time}","lost_events":{{"num_events_lost":"1"}}}}"#);
        let line = Line::parse(&text).unwrap();
        Box::new(Entry { text, line })
    }

    fn pass(limit: Limit, sort: bool, seconds: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let span = Span {
            limit,
            ..Span::default()
        };
        let mut keeper = span.keeper(sort);
        let mut shown = Vec::new();
        for second in seconds {
            shown.extend(keeper.take(entry(second)));
            if keeper.is_full() {
                break;
            }
        }
        shown.extend(keeper.rest());
        shown
            .iter()
            .map(|entry| entry.line.time.unwrap().as_second())
            .collect()
    }

    #[test]
    fn many_logs_are_sorted_and_a_file_is_not() {
        assert_eq!(pass(Limit::All, true, [3, 1, 2]), [1, 2, 3]);
        assert_eq!(pass(Limit::All, false, [3, 1, 2]), [3, 1, 2]);
        assert_eq!(pass(Limit::Last(2), true, [3, 1, 2]), [2, 3]);
        assert_eq!(pass(Limit::Last(2), false, [3, 1, 2]), [1, 2]);
        assert_eq!(pass(Limit::First(2), true, [3, 1, 2]), [1, 2]);
        assert_eq!(pass(Limit::First(2), false, [3, 1, 2]), [3, 1]);
        assert_eq!(pass(Limit::None, true, [3, 1, 2]), [0_i64; 0]);
    }

    #[test]
    fn the_last_of_very_many_are_the_last() {
        assert_eq!(
            pass(Limit::Last(3), true, (0..5000).rev()),
            [4997, 4998, 4999]
        );
    }
}
