//! Times as Hubble reads and prints them (`hubble/pkg/time`). Printed in UTC, as there.

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// How a time is printed; the names are those of Hubble's `--time-format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum TimeFormat {
    /// `Nov 21 10:00:00.123`
    #[default]
    StampMilli,
    /// `2026-11-21`
    YearMonthDay,
    /// `2026-11-21T10Z`
    YearMonthDayHour,
    /// `2026-11-21T10:00Z`
    YearMonthDayHourMinute,
    /// `2026-11-21T10:00:00Z`
    #[value(name = "RFC3339")]
    Rfc3339,
    /// `2026-11-21T10:00:00.123Z`
    #[value(name = "RFC3339Milli")]
    Rfc3339Milli,
    /// `2026-11-21T10:00:00.123456Z`
    #[value(name = "RFC3339Micro")]
    Rfc3339Micro,
    /// `2026-11-21T10:00:00.123456789Z`
    #[value(name = "RFC3339Nano")]
    Rfc3339Nano,
    /// `Sat, 21 Nov 2026 10:00:00 +0000`
    #[value(name = "RFC1123Z")]
    Rfc1123z,
}

impl TimeFormat {
    /// Prints a time; `N/A` where there is none.
    pub(super) fn print(self, time: Option<Timestamp>) -> String {
        let Some(time) = time else {
            return "N/A".to_owned();
        };
        // A fraction is cut, never rounded, and has no zeros at its end.
        let cut = |digit: i32| {
            let nanoseconds = time.subsec_nanosecond();
            let cut = nanoseconds - nanoseconds % digit;
            let whole = Timestamp::new(time.as_second(), cut).unwrap_or(time);
            whole.strftime("%Y-%m-%dT%H:%M:%S%.fZ").to_string()
        };
        match self {
            Self::StampMilli => time.strftime("%b %e %H:%M:%S%.3f").to_string(),
            Self::YearMonthDay => time.strftime("%Y-%m-%d").to_string(),
            Self::YearMonthDayHour => time.strftime("%Y-%m-%dT%HZ").to_string(),
            Self::YearMonthDayHourMinute => time.strftime("%Y-%m-%dT%H:%MZ").to_string(),
            Self::Rfc3339 => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::Rfc3339Milli => cut(1_000_000),
            Self::Rfc3339Micro => cut(1_000),
            Self::Rfc3339Nano => cut(1),
            Self::Rfc1123z => time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        }
    }
}

/// A time as typed: so long ago, or one of the formats above.
pub(crate) fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(ago) = text.parse::<SignedDuration>() {
        return now.checked_sub(ago).ok();
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let day = civil::Date::strptime("%Y-%m-%d", text).ok();
    if let Some(day) = day {
        let midnight = day.to_zoned(TimeZone::UTC).ok()?;
        return Some(midnight.timestamp());
    }
    let parsed = rfc2822::parse(text).ok()?;
    Some(parsed.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_hubble_reads_them() {
        // Inputs and answers of cilium's hubble/pkg/time/time_test.go.
        let now = "2019-07-01T14:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("10s", "2019-07-01T13:59:50Z"),
            ("5m", "2019-07-01T13:55:00Z"),
            ("20h", "2019-06-30T18:00:00Z"),
            ("1h43m", "2019-07-01T12:17:00Z"),
            ("2019-06-30T18:00:00Z", "2019-06-30T18:00:00Z"),
            ("2019-06-30", "2019-06-30T00:00:00Z"),
            ("2019-06-30T18Z", "2019-06-30T18:00:00Z"),
            ("2019-06-30T18:00Z", "2019-06-30T18:00:00Z"),
            ("2019-06-30T18:00:00.5+02:00", "2019-06-30T16:00:00.5Z"),
            ("Sun, 30 Jun 2019 18:00:00 +0000", "2019-06-30T18:00:00Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(read(text, now), Some(expected), "{text}");
        }
        assert_eq!(read("yesterday", now), None);
    }

    #[test]
    fn each_format_is_hubbles() {
        let time: Timestamp = "2026-11-01T10:02:03.450067890Z".parse().unwrap();
        for (format, expected) in [
            (TimeFormat::StampMilli, "Nov  1 10:02:03.450"),
            (TimeFormat::YearMonthDay, "2026-11-01"),
            (TimeFormat::YearMonthDayHour, "2026-11-01T10Z"),
            (TimeFormat::YearMonthDayHourMinute, "2026-11-01T10:02Z"),
            (TimeFormat::Rfc3339, "2026-11-01T10:02:03Z"),
            (TimeFormat::Rfc3339Milli, "2026-11-01T10:02:03.45Z"),
            (TimeFormat::Rfc3339Micro, "2026-11-01T10:02:03.450067Z"),
            (TimeFormat::Rfc3339Nano, "2026-11-01T10:02:03.45006789Z"),
            (TimeFormat::Rfc1123z, "Sun, 01 Nov 2026 10:02:03 +0000"),
        ] {
            assert_eq!(format.print(Some(time)), expected);
        }
    }
}
