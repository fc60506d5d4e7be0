//! A line of the flow log for people: short, local time, colour on a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use sidewall::policy::allow_list::{ObjectRef, RuleId};
use sidewall::verdict::{Because, Verdict};

use super::entry::{Entry, Party, Told, Who};

const ALLOWED: Style = AnsiColor::Green.on_default();
const BLOCKED: Style = AnsiColor::Red.on_default();
const AUDITED: Style = AnsiColor::Yellow.on_default();
const QUIET: Style = Style::new().dimmed();

/// One line, without its end.
pub(super) fn line(entry: &Entry, zone: &jiff::tz::TimeZone, colour: bool) -> String {
    finish(coloured(entry, zone), colour)
}

fn coloured(entry: &Entry, zone: &jiff::tz::TimeZone) -> String {
    let record = &entry.record;
    let (word, style) = match (entry.told, record.verdict, record.audit) {
        (Told::End, _, _) => ("end  ", QUIET),
        (_, Verdict::Allow(_), _) => ("allow", ALLOWED),
        (_, Verdict::Block(_), true) => ("audit", AUDITED),
        (_, Verdict::Block(_), false) => ("block", BLOCKED),
    };
    let time = entry.time.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f");
    let mut line = format!(
        "{QUIET}{time}{QUIET:#} {style}{word}{style:#} {:<7} {:<4} {} → {}",
        record.direction,
        record.key.protocol,
        party(&entry.source),
        party(&entry.destination),
    );
    let tail = tail(entry);
    if !tail.is_empty() {
        let _ = write!(line, "  {QUIET}{tail}{QUIET:#}");
    }
    line
}

/// The line that tells of lines which were not written.
pub(super) fn lost_line(
    lost: u64,
    kind: &str,
    at: jiff::Timestamp,
    zone: &jiff::tz::TimeZone,
    colour: bool,
) -> String {
    let time = at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f");
    finish(
        format!("{QUIET}{time}{QUIET:#} {AUDITED}{lost} lines left out ({kind}){AUDITED:#}"),
        colour,
    )
}

fn finish(line: String, colour: bool) -> String {
    if colour {
        line
    } else {
        anstream::adapter::strip_str(&line).to_string()
    }
}

fn party(party: &Party) -> String {
    let address = if party.port == 0 {
        party.address.to_string()
    } else {
        std::net::SocketAddr::new(party.address, party.port).to_string()
    };
    match &party.who {
        Who::Pod(pod) => format!("{} {address}", name(&pod.id)),
        Who::Service(service) => format!("service {} {address}", name(service)),
        Who::Node => format!("node {address}"),
        Who::World => address,
    }
}

fn tail(entry: &Entry) -> String {
    let record = &entry.record;
    match entry.told {
        Told::End => {
            let seconds = record.at.0.saturating_sub(record.began.0) as f64 / 1000.0;
            return format!(
                "after {seconds:.1} s, {} bytes out, {} bytes in",
                record.sent.bytes, record.received.bytes
            );
        }
        Told::Repeat(count) => return format!("{} more times: {}", count, because(entry)),
        Told::New | Told::Revoked => {}
    }
    because(entry)
}

fn because(entry: &Entry) -> String {
    match entry.record.verdict {
        Verdict::Allow(Because::Rule(_)) => entry.rule().map_or_else(
            || "by a rule".to_owned(),
            |rule| format!("by {}", place(&rule.id)),
        ),
        Verdict::Allow(because) => because.as_str().to_owned(),
        Verdict::Block(reason) if entry.why.is_some() => {
            let summary = entry.why.as_ref().map_or("", |why| why.summary.as_str());
            // The line's second word says it already.
            let summary = summary.strip_prefix("Blocked: ").unwrap_or(summary);
            format!("{}: {summary}", reason.as_str())
        }
        Verdict::Block(reason) => {
            let isolating: Vec<_> = entry.isolated_by().iter().map(name).collect();
            let mut told = reason.as_str().to_owned();
            if !isolating.is_empty() {
                told.push_str(", isolated by ");
                told.push_str(&isolating.join(", "));
            }
            if let Some(unknown) = &entry.unknown {
                told.push_str(", and the peer's labels are not known: ");
                told.push_str(unknown);
            }
            told
        }
    }
}

fn place(rule: &RuleId) -> String {
    format!("{} {}[{}]", name(&rule.policy), rule.direction, rule.index)
}

fn name(object: &ObjectRef) -> String {
    format!("{}/{}", object.namespace, object.name)
}
