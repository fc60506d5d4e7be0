//! How often something was seen, and when.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::flows::{Kind, Line};

/// How often, first and last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Flows that began, each try of a blocked one.
    began: u64,
    /// Flows that ended. Where the log begins in the middle, ends stand there without beginnings.
    ended: u64,
    /// When first; `None` where no line told a time.
    pub first: Option<Timestamp>,
    /// When last.
    pub last: Option<Timestamp>,
}

impl Seen {
    /// One line more.
    pub(super) fn add(&mut self, line: &Line) {
        let own = line.sidewall.as_ref();
        let times = own.and_then(|own| own.repeats).unwrap_or(1);
        if own.is_some_and(|own| own.kind == Kind::End) {
            self.ended += 1;
        } else {
            self.began += times;
        }
        let time = line.flow.as_ref().and_then(|flow| flow.time).or(line.time);
        self.extend(time, time);
    }

    /// Both together.
    pub(super) fn merge(&mut self, other: &Self) {
        self.began += other.began;
        self.ended += other.ended;
        self.extend(other.first, other.last);
    }

    fn extend(&mut self, first: Option<Timestamp>, last: Option<Timestamp>) {
        self.first = match (self.first, first) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.last = self.last.max(last);
    }

    /// How many flows: every one has a beginning and an end, unless the log is cut off.
    #[must_use]
    pub fn times(&self) -> u64 {
        self.began.max(self.ended)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times() {
            1 => f.write_str("once")?,
            times => write!(f, "{times} times")?,
        }
        // To the second: nobody decides by less.
        let second = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        match (self.first.map(second), self.last.map(second)) {
            (Some(first), Some(last)) if first == last => write!(f, ", at {first}"),
            (Some(first), Some(last)) => write!(f, ", {first} to {last}"),
            _ => Ok(()),
        }
    }
}

impl Serialize for Seen {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Seen", 3)?;
        fields.serialize_field("times", &self.times())?;
        fields.serialize_field("first", &self.first)?;
        fields.serialize_field("last", &self.last)?;
        fields.end()
    }
}
