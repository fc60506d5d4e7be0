//! Every metric of the controller but those of the lists ([`lists::metrics`]): its name, what it counts, and the one place it is written from.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::lists;

const PODS: &str = "sidewall_injector_pods_total";
const SECONDS: &str = "sidewall_injector_request_seconds";
const EVENTS_LOST: &str = "sidewall_injector_events_lost_total";
const CERTIFICATE_ENDS: &str = "sidewall_injector_certificate_not_after_seconds";
const LEADS: &str = "sidewall_injector_leader";

/// Upper edges of the buckets for the time of a review: the goal is 20 ms at the 99th percentile,
/// and the API server gives up after ten seconds.
const BUCKETS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.25, 2.5];

/// Installs the recorder; what it hands back writes the exposition.
///
/// # Errors
/// When there is a recorder already.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    let recorder = builder()?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|_| anyhow::anyhow!("there is a metrics recorder already"))?;
    describe_counter!(
        PODS,
        "Pods that were reviewed, by outcome (injected, skipped, refused) and code"
    );
    describe_histogram!(SECONDS, "Time from a review's arrival to its answer");
    describe_counter!(EVENTS_LOST, "Events that were not written: too many waited");
    describe_gauge!(
        CERTIFICATE_ENDS,
        "When the webhook's certificate ends, in seconds since 1970"
    );
    describe_gauge!(LEADS, "1 while this replica keeps the certificate");
    lists::metrics::describe();
    Ok(handle)
}

/// Histograms keep their samples until they are drained, so they are drained this often, scraped or
/// not, for as long as this is polled.
pub async fn drain(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        handle.run_upkeep();
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let seconds = Matcher::Full(SECONDS.to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS)?;
    lists::metrics::edges(builder)
}

/// One pod was reviewed.
pub fn reviewed(outcome: &'static str, code: &'static str, took: Duration) {
    counter!(PODS, "outcome" => outcome, "code" => code).increment(1);
    histogram!(SECONDS).record(took.as_secs_f64());
}

/// An Event was not written.
pub fn event_lost() {
    counter!(EVENTS_LOST).increment(1);
}

/// The certificate in use ends then.
pub fn certificate_ends(seconds_since_1970: i64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 fit into the 53 bits of a float until the year 285 million"
    )]
    gauge!(CERTIFICATE_ENDS).set(seconds_since_1970 as f64);
}

/// Whether this replica leads.
pub fn leads(leads: bool) {
    gauge!(LEADS).set(if leads { 1.0 } else { 0.0 });
}

#[cfg(test)]
mod tests {
    use super::{CERTIFICATE_ENDS, EVENTS_LOST, LEADS, PODS, SECONDS};

    #[test]
    fn operations_md_has_every_metric_and_no_other() {
        let page = include_str!("../../docs/operations.md");
        let mut written = [PODS, SECONDS, EVENTS_LOST, CERTIFICATE_ENDS, LEADS];
        let rows = page.lines().filter(|line| line.starts_with("| `sidewall_"));
        let words = rows.flat_map(|line| line.split('`'));
        let mut told: Vec<&str> = words
            .filter(|word| word.starts_with("sidewall_injector_"))
            .collect();
        written.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, written);
    }
}
