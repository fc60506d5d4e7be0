//! What Prometheus reads: kept handles, names and help texts in one place.
//!
//! The data path does not come here: it adds to its own counters (`counters`), and a scrape copies
//! their sums. Handles are made once, because looking one up by its labels costs ten times what an
//! addition does.

mod describe;

use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sidewall::net::Direction;
use sidewall::record::{FlowRecord, RecordKind};
use sidewall::verdict::Verdict;

use crate::lists::Resync;
use crate::shared::Shared;
use crate::watch::LISTS;
use crate::watch::kind::Kind;

/// From "within a scheduler tick" to "far beyond the goal" of 100 ms from event to verdict.
const SECONDS: [f64; 11] = [
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
];

/// Histograms keep their samples until they are drained, so they are drained this often, scraped
/// or not (`PrometheusHandle::run_upkeep`).
pub const UPKEEP: Duration = Duration::from_secs(5);

/// Packets, bytes and flows of one direction and one kind of verdict.
struct Traffic {
    packets: Counter,
    bytes: Counter,
    flows: Counter,
}

/// Every metric of the sidecar.
pub struct Metrics {
    handle: PrometheusHandle,
    /// By direction, then by [`Verdict::index`].
    traffic: [Vec<Traffic>; 2],
    audited: [Counter; 2],
    flow_table_flows: Gauge,
    flow_table_capacity: Gauge,
    records_lost: Counter,
    write_errors: Counter,
    rejects: Counter,
    offload_flows: Gauge,
    offload_handed_over: Counter,
    /// By direction.
    offload_packets: [Counter; 2],
    lines_suppressed: Counter,
    generation: Gauge,
    age: Gauge,
    stale: Gauge,
    invalid: Gauge,
    ready: Gauge,
    audit_mode: Gauge,
    compile: Histogram,
    enforced: Histogram,
    /// By name: how often it was started again, and whether it stands.
    watches: Vec<(&'static str, Counter, Gauge)>,
    list_bytes: Counter,
    list_slices: Gauge,
    /// By [`Resync`].
    list_resyncs: [Counter; Resync::ALL.len()],
    /// Failed, and done.
    list_writes: [Counter; 2],
}

/// The state that a scrape reads beside the counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshot {
    /// Flows in the table.
    pub flows: usize,
    /// The most it takes.
    pub flow_capacity: usize,
    /// Of the policy in force; 0 before the first.
    pub generation: u64,
    /// Since the policy in force was published.
    pub age: Duration,
    /// Since the source of policies was last known to be current; zero while it is.
    pub stale: Duration,
    /// Policies that isolate the pod and cannot be understood.
    pub invalid_policies: usize,
    /// Whether the sidecar is ready.
    pub ready: bool,
    /// Whether nothing is blocked, only logged.
    pub audit: bool,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// When the buckets of the histograms are refused, which constant ones are not.
    pub fn new() -> anyhow::Result<Self> {
        Self::watching(&Kind::DECIDING.map(Kind::plural))
    }

    /// All metrics of a sidecar whose list comes ready-made, at zero.
    ///
    /// # Errors
    /// As [`Metrics::new`].
    pub fn for_lists() -> anyhow::Result<Self> {
        Self::watching(&[LISTS])
    }

    fn watching(watches: &[&'static str]) -> anyhow::Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let handle = recorder.handle();
        Ok(with_local_recorder(&recorder, || {
            describe::all();
            Self::registered(handle, watches)
        }))
    }

    fn registered(handle: PrometheusHandle, watches: &[&'static str]) -> Self {
        gauge!("sidewall_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Self {
            handle,
            traffic: Direction::BOTH.map(|direction| {
                Verdict::ALL
                    .iter()
                    .map(|verdict| Traffic::new(direction, *verdict))
                    .collect()
            }),
            audited: Direction::BOTH.map(
                |direction| counter!("sidewall_audited_flows_total", "direction" => direction.as_str()),
            ),
            flow_table_flows: gauge!("sidewall_flow_table_flows"),
            flow_table_capacity: gauge!("sidewall_flow_table_capacity"),
            records_lost: counter!("sidewall_flow_records_lost_total"),
            write_errors: counter!("sidewall_device_write_errors_total"),
            rejects: counter!("sidewall_rejects_sent_total"),
            offload_flows: gauge!("sidewall_offload_flows"),
            offload_handed_over: counter!("sidewall_offload_handed_over_total"),
            offload_packets: Direction::BOTH.map(
                |direction| counter!("sidewall_offload_packets_total", "direction" => direction.as_str()),
            ),
            lines_suppressed: counter!("sidewall_flow_log_lines_suppressed_total"),
            generation: gauge!("sidewall_policy_generation"),
            age: gauge!("sidewall_policy_age_seconds"),
            stale: gauge!("sidewall_policy_source_stale_seconds"),
            invalid: gauge!("sidewall_policies_invalid"),
            ready: gauge!("sidewall_ready"),
            audit_mode: gauge!("sidewall_audit_mode"),
            compile: histogram!("sidewall_policy_compile_seconds"),
            enforced: histogram!("sidewall_policy_event_to_enforced_seconds"),
            watches: watches
                .iter()
                .map(|kind| {
                    let restarts = counter!("sidewall_watch_restarts_total", "kind" => *kind);
                    (*kind, restarts, gauge!("sidewall_watch_current", "kind" => *kind))
                })
                .collect(),
            list_bytes: counter!("sidewall_list_bytes_total"),
            list_slices: gauge!("sidewall_list_slices"),
            list_resyncs: Resync::ALL
                .map(|why| counter!("sidewall_list_resyncs_total", "reason" => why.as_str())),
            list_writes: ["failed", "kept"]
                .map(|outcome| counter!("sidewall_list_cache_writes_total", "outcome" => outcome)),
        }
    }

    /// A record came out of the data path.
    pub fn flow(&self, record: &FlowRecord) {
        if record.kind == RecordKind::End {
            return;
        }
        self.traffic[record.direction as usize][record.verdict.index()]
            .flows
            .increment(1);
        if record.audit {
            self.audited[record.direction as usize].increment(1);
        }
    }

    /// A line of the flow log was left out for the rate's sake.
    pub fn line_suppressed(&self) {
        self.lines_suppressed.increment(1);
    }

    /// A list was compiled, in this time.
    pub fn compiled(&self, took: Duration) {
        self.compile.record(took);
    }

    /// A change is in force, this long after it was read off the API server's connection.
    pub fn enforced(&self, after: Duration) {
        self.enforced.record(after);
    }

    /// A watch stands.
    pub fn watch_current(&self, kind: &str) {
        if let Some((_, _, current)) = self.watch(kind) {
            current.set(1.0);
        }
    }

    /// A watch was lost and starts again.
    pub fn watch_lost(&self, kind: &str) {
        if let Some((_, restarts, current)) = self.watch(kind) {
            restarts.increment(1);
            current.set(0.0);
        }
    }

    fn watch(&self, kind: &str) -> Option<&(&'static str, Counter, Gauge)> {
        self.watches.iter().find(|(known, _, _)| *known == kind)
    }

    /// So much came of the pod's own list.
    pub fn list_bytes(&self, bytes: usize) {
        self.list_bytes.increment(bytes as u64);
    }

    /// The list has so many slices.
    pub fn list_slices(&self, slices: usize) {
        self.list_slices.set(slices as f64);
    }

    /// The whole list is asked for anew.
    pub fn list_resync(&self, why: Resync) {
        self.list_resyncs[why as usize].increment(1);
    }

    /// The list was written for the next start, or could not be.
    pub fn list_kept(&self, done: bool) {
        self.list_writes[usize::from(done)].increment(1);
    }

    /// Drains the histograms.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn render(&self, shared: &Shared, now: &Snapshot) -> String {
        for direction in Direction::BOTH {
            for (verdict, traffic) in self.traffic[direction as usize].iter().enumerate() {
                let total = shared.counters.total(direction, verdict);
                traffic.packets.absolute(total.packets);
                traffic.bytes.absolute(total.bytes);
            }
        }
        self.records_lost
            .absolute(shared.records_lost.load(Ordering::Relaxed));
        self.write_errors.absolute(shared.counters.write_errors());
        self.rejects.absolute(shared.counters.rejects());
        if let Some(offload) = shared.offload.get() {
            self.offload_flows.set(offload.len() as f64);
            self.offload_handed_over.absolute(offload.handed_over());
            for direction in Direction::BOTH {
                self.offload_packets[direction as usize].absolute(offload.total(direction).packets);
            }
        }
        self.flow_table_flows.set(now.flows as f64);
        self.flow_table_capacity.set(now.flow_capacity as f64);
        self.generation.set(now.generation as f64);
        self.age.set(now.age.as_secs_f64());
        self.stale.set(now.stale.as_secs_f64());
        self.invalid.set(now.invalid_policies as f64);
        self.ready.set(f64::from(u8::from(now.ready)));
        self.audit_mode.set(f64::from(u8::from(now.audit)));
        self.handle.render()
    }
}

impl Traffic {
    fn new(direction: Direction, verdict: Verdict) -> Self {
        let labels = [
            ("direction", direction.as_str()),
            (
                "verdict",
                if verdict.is_allowed() {
                    "allow"
                } else {
                    "block"
                },
            ),
            ("reason", verdict.as_str()),
        ];
        Self {
            packets: counter!("sidewall_packets_total", &labels),
            bytes: counter!("sidewall_bytes_total", &labels),
            flows: counter!("sidewall_flows_total", &labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_a_promise() {
        let metrics = Metrics::new().expect("metrics");
        metrics.compiled(Duration::from_micros(300));
        metrics.enforced(Duration::from_millis(3));
        let text = metrics.render(&crate::testing::shared(), &Snapshot::default());
        let mut names: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        names.sort_unstable();
        insta::assert_snapshot!(names.join("\n"));
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().expect("a name");
            assert!(
                text.contains(&format!("# HELP {name} ")),
                "{name} has no help text"
            );
        }
    }

    #[test]
    fn operations_md_has_every_metric_and_no_other() {
        let page = include_str!("../../docs/operations.md");
        let (page, _) = page.split_once("| of the controller").expect("two tables");
        let metrics = Metrics::new().expect("metrics");
        metrics.compiled(Duration::from_micros(300));
        metrics.enforced(Duration::from_millis(3));
        let text = metrics.render(&crate::testing::shared(), &Snapshot::default());
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut written: Vec<&str> = types.filter_map(|line| line.split(' ').next()).collect();
        let mut told: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `sidewall_"))
            .flat_map(|line| line.split('`'))
            .filter(|word| word.starts_with("sidewall_"))
            .collect();
        written.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, written);
    }
}
