//! Every metric of the served lists: its name, what it counts, and the one place it is written from.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use sidewall::lists::catalogue::{ListChange, Published};
use sidewall_watch::kind::Kind;

const PODS: &str = "sidewall_lists_pods";
const SLICES: &str = "sidewall_lists_slices";
const WATCH_CURRENT: &str = "sidewall_lists_watch_current";
const PUBLISH: &str = "sidewall_lists_publish_seconds";
const EVENT_TO_PUBLISH: &str = "sidewall_lists_event_to_publish_seconds";
const CONCERNED: &str = "sidewall_lists_concerned";
const STREAMS: &str = "sidewall_lists_streams";
const SENT: &str = "sidewall_lists_sent_bytes_total";
const EXPIRED: &str = "sidewall_lists_expired_total";
const REFUSED: &str = "sidewall_lists_refused_total";
const LOOKED_UP: &str = "sidewall_lists_peer_lookups_total";
const ACCESS: &str = "sidewall_lists_access_reviews_total";

const ALL: [(&str, &str); 12] = [
    (PODS, "Pods that have an allow list"),
    (SLICES, "Slices of peer sets"),
    (WATCH_CURRENT, "1 while the watch of this kind stands"),
    (
        PUBLISH,
        "Time to take changes in and publish what they mean",
    ),
    (
        EVENT_TO_PUBLISH,
        "Time from the first event of a publication to its end",
    ),
    (CONCERNED, "Pods that a publication concerned"),
    (STREAMS, "Streams that are open, by sort"),
    (SENT, "Bytes that were sent over streams, by sort"),
    (
        EXPIRED,
        "Answers that a version is too old or another replica's (410)",
    ),
    (REFUSED, "Requests that were refused, by code"),
    (LOOKED_UP, "Questions for who has an address, by outcome"),
    (
        ACCESS,
        "Questions to the API server whether a user may read, by outcome",
    ),
];

/// Upper edges for times of a publication: the goals are 10 ms at 100 000 pods, and a second for a
/// namespace's label.
const SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Upper edges for numbers of pods.
const NUMBERS: [f64; 8] = [
    0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 50_000.0, 100_000.0,
];

/// Sorts of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A sidecar's.
    Sidecar,
    /// Anybody else's.
    Watch,
}

impl Sort {
    const fn name(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Watch => "watch",
        }
    }
}

/// Gives the histograms their edges.
///
/// # Errors
/// When there are none.
pub fn edges(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    builder
        .set_buckets_for_metric(full(PUBLISH), &SECONDS)?
        .set_buckets_for_metric(full(EVENT_TO_PUBLISH), &SECONDS)?
        .set_buckets_for_metric(full(CONCERNED), &NUMBERS)
}

/// Says what each one is.
pub fn describe() {
    for (name, text) in ALL {
        match name {
            PODS | SLICES | WATCH_CURRENT | STREAMS => describe_gauge!(name, text),
            PUBLISH | EVENT_TO_PUBLISH | CONCERNED => describe_histogram!(name, text),
            _ => describe_counter!(name, text),
        }
    }
}

/// Something was published.
pub fn published(published: &Published, took: Duration) {
    histogram!(PUBLISH).record(took.as_secs_f64());
    histogram!(CONCERNED).record(number(published.concerned.len()));
    let count = |wanted| {
        let lists = published.lists.iter();
        number(lists.filter(|(_, change)| *change == wanted).count())
    };
    gauge!(PODS).increment(count(ListChange::Added) - count(ListChange::Removed));
    gauge!(SLICES).increment(number(published.added.len()) - number(published.removed.len()));
}

/// From the first event of a publication to its end.
pub fn event_to_publish(took: Duration) {
    histogram!(EVENT_TO_PUBLISH).record(took.as_secs_f64());
}

/// Whether the watch of a kind stands.
pub fn watch_current(kind: Kind, current: bool) {
    gauge!(WATCH_CURRENT, "kind" => kind.plural()).set(if current { 1.0 } else { 0.0 });
}

/// A 410.
pub fn expired() {
    counter!(EXPIRED).increment(1);
}

/// A request was refused.
pub fn refused(code: u16) {
    counter!(REFUSED, "code" => code.to_string()).increment(1);
}

/// Somebody asked who has an address.
pub fn looked_up(outcome: &'static str) {
    counter!(LOOKED_UP, "outcome" => outcome).increment(1);
}

/// The API server was asked whether somebody may read; `None`: it did not say.
pub fn reviewed_access(allowed: Option<bool>) {
    let outcome = match allowed {
        Some(true) => "allowed",
        Some(false) => "denied",
        None => "failed",
    };
    counter!(ACCESS, "outcome" => outcome).increment(1);
}

/// A stream, for as long as it is open.
#[derive(Debug)]
pub struct Streaming(Sort);

impl Streaming {
    /// It begins.
    #[must_use]
    pub fn begin(sort: Sort) -> Self {
        gauge!(STREAMS, "sort" => sort.name()).increment(1.0);
        Self(sort)
    }

    /// Bytes were sent.
    pub fn sent(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        counter!(SENT, "sort" => self.0.name()).increment(bytes);
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        gauge!(STREAMS, "sort" => self.0.name()).decrement(1.0);
    }
}

/// Exact below 2^32, and no cluster has so many of anything.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn operations_md_has_every_metric_and_no_other() {
        let page = include_str!("../../../docs/operations.md");
        let (_, page) = page.split_once("| of the controller").unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `sidewall_"));
        let words = rows.flat_map(|line| line.split('`'));
        let mut told: Vec<&str> = words
            .filter(|word| word.starts_with("sidewall_lists_"))
            .collect();
        let mut written = ALL.map(|(name, _)| name);
        written.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, written);
    }
}
