//! What each metric means, in words: the help texts that a scrape brings.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Describes every metric to the recorder that is in force.
pub(super) fn all() {
    describe_gauge!("sidewall_build_info", "The version, as a label");
    describe_counter!(
        "sidewall_packets_total",
        "Packets judged, by direction, verdict and reason; a segmented packet counts its segments"
    );
    describe_counter!(
        "sidewall_bytes_total",
        Unit::Bytes,
        "Bytes of IP packets judged, by direction, verdict and reason"
    );
    describe_counter!(
        "sidewall_flows_total",
        "New flows judged and flows revoked, by direction, verdict and reason"
    );
    describe_counter!(
        "sidewall_audited_flows_total",
        "Flows that audit mode let pass although policies block them"
    );
    describe_gauge!("sidewall_flow_table_flows", "Flows remembered now");
    describe_gauge!("sidewall_flow_table_capacity", "Flows remembered at most");
    describe_counter!(
        "sidewall_flow_records_lost_total",
        "Records that the flow log was too slow for"
    );
    describe_counter!(
        "sidewall_flow_log_lines_suppressed_total",
        "Flow log lines left out to keep to the rate"
    );
    describe_counter!(
        "sidewall_device_write_errors_total",
        "Allowed packets that could not be written back"
    );
    describe_counter!(
        "sidewall_rejects_sent_total",
        "TCP resets and ICMP errors sent to the own pod for blocked packets"
    );
    describe_gauge!(
        "sidewall_offload_flows",
        "Flows that the kernel carries now, past the sidecar"
    );
    describe_counter!(
        "sidewall_offload_handed_over_total",
        "Times a flow was handed over to the kernel"
    );
    describe_counter!(
        "sidewall_offload_packets_total",
        "Packets that the kernel carried, a few seconds late; they count in sidewall_packets_total too"
    );
    describe_gauge!(
        "sidewall_policy_generation",
        "Number of the allow list in force; 0 before the first"
    );
    describe_gauge!(
        "sidewall_policy_age_seconds",
        Unit::Seconds,
        "Since the allow list in force was published"
    );
    describe_gauge!(
        "sidewall_policy_source_stale_seconds",
        Unit::Seconds,
        "Since the API server or the manifests were last in contact; 0 while they are"
    );
    describe_gauge!(
        "sidewall_policies_invalid",
        "Policies that isolate the pod and cannot be understood"
    );
    describe_gauge!(
        "sidewall_ready",
        "1 when policies are in force and packets are steered here"
    );
    describe_gauge!(
        "sidewall_audit_mode",
        "1 when nothing is blocked, only logged"
    );
    describe_histogram!(
        "sidewall_policy_compile_seconds",
        Unit::Seconds,
        "To compile the allow list and its index"
    );
    describe_histogram!(
        "sidewall_policy_event_to_enforced_seconds",
        Unit::Seconds,
        "From a change read off the API server's connection to the allow list in force"
    );
    describe_counter!(
        "sidewall_watch_restarts_total",
        "Watches lost and started again, by kind"
    );
    describe_gauge!(
        "sidewall_watch_current",
        "1 while the watch of this kind stands"
    );
    describe_counter!(
        "sidewall_list_bytes_total",
        Unit::Bytes,
        "Of the pod's own list, as they came from the controller"
    );
    describe_gauge!(
        "sidewall_list_slices",
        "Slices of peers and Services that the pod's own list has"
    );
    describe_counter!(
        "sidewall_list_resyncs_total",
        "Times the whole list was asked for anew: it did not add up (digest), the controller had forgotten the version (expired), or a line could not be read (unreadable)"
    );
    describe_counter!(
        "sidewall_list_cache_writes_total",
        "Writes of the list for the next start, by outcome"
    );
}
