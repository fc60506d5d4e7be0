//! The command line and its environment twins, as typed. What the words mean is checked in
//! [`super::Config`].

use std::path::PathBuf;

use clap::Parser;

/// The command line and its environment twins, as typed.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "sidewall-sidecar",
    version,
    about = "Enforces Kubernetes NetworkPolicies for the pod it runs in",
    long_about = "Enforces Kubernetes NetworkPolicies for the pod it runs in, and says of every \
                  connection who allowed it or who blocked it and why.\n\n\
                  The flow log goes to stdout, the program's own log to stderr.\n\
                  Exit codes: 0 stopped as asked, 1 could not start or failed, 2 wrong usage.\n\
                  Whatever the exit code, the pod stays closed until a sidecar runs again."
)]
pub struct Args {
    /// The namespace of the pod to guard (downward API: metadata.namespace)
    #[arg(long, env = "POD_NAMESPACE")]
    pub pod_namespace: Option<String>,

    /// The name of the pod to guard (downward API: metadata.name)
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,

    /// The pod's uid, so that a list which was kept is used by no other pod of this name (downward
    /// API: metadata.uid)
    #[arg(long, env = "POD_UID")]
    pub pod_uid: Option<String>,

    /// The node's name, for the flow log (downward API: spec.nodeName); else what the API says
    #[arg(long, env = "NODE_NAME")]
    pub node_name: Option<String>,

    /// The pod's network interface
    #[arg(long, env = "SIDEWALL_INTERFACE", default_value = "eth0")]
    pub interface: String,

    /// enforce: block what is not allowed; audit: let it pass and log it. The annotation
    /// sidewall.dev/mode of the pod, or else of its namespace, goes before this
    #[arg(
        long,
        env = "SIDEWALL_MODE",
        default_value = "enforce",
        value_name = "enforce|audit"
    )]
    pub mode: String,

    /// reject: answer the own pod with a TCP reset or ICMP "administratively prohibited", and the
    /// network with silence; drop: answer nobody
    #[arg(
        long,
        env = "SIDEWALL_ON_BLOCK",
        default_value = "reject",
        value_name = "reject|drop"
    )]
    pub on_block: String,

    /// How packets get to the sidecar: by eBPF (needs the capability BPF), by plain tc filters, or
    /// by eBPF where it may be had
    #[arg(
        long,
        env = "SIDEWALL_STEERING",
        default_value = "auto",
        value_name = "auto|bpf|tc"
    )]
    pub steering: String,

    /// Whether the kernel carries established flows past the sidecar (with eBPF steering)
    #[arg(
        long,
        env = "SIDEWALL_OFFLOAD",
        default_value = "on",
        value_name = "on|off"
    )]
    pub offload: String,

    /// A Service some of whose endpoints are allowed: block all of it, or allow all of it
    #[arg(
        long,
        env = "SIDEWALL_SERVICE_MIXED",
        default_value = "block",
        value_name = "allow|block"
    )]
    pub service_mixed: String,

    /// Ports of the pod that pass without policy, such as 8080,9000-9100,53/UDP; logged as
    /// skipped-port
    #[arg(
        long,
        env = "SIDEWALL_SKIP_INBOUND_PORTS",
        default_value = "",
        hide_default_value = true,
        value_name = "PORTS"
    )]
    pub skip_inbound_ports: String,

    /// Destination ports of the pod's own connections that pass without policy; a Service's port
    /// is the Service's own
    #[arg(
        long,
        env = "SIDEWALL_SKIP_OUTBOUND_PORTS",
        default_value = "",
        hide_default_value = true,
        value_name = "PORTS"
    )]
    pub skip_outbound_ports: String,

    /// Where policies come from. allowlists: the pod's own list, ready-made, from sidewall's controller
    /// (one right: watch allowlists.allowlists.sidewall.dev); api: pods, namespaces, services and
    /// policies of the cluster, compiled here; manifests: files. Default: manifests with --manifests,
    /// else api
    #[arg(
        long,
        env = "SIDEWALL_POLICY_SOURCE",
        value_name = "allowlists|api|manifests"
    )]
    pub policy_source: Option<String>,

    /// Keep the list of --policy-source allowlists in this directory, and begin with it after a
    /// restart: the pod's own (emptyDir), mounted into no other container
    #[arg(long, env = "SIDEWALL_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Read policies, pods, namespaces and services from the YAML files of this directory, and
    /// again when they change, instead of from an API server
    #[arg(long, env = "SIDEWALL_MANIFESTS", value_name = "DIR")]
    pub manifests: Option<PathBuf>,

    /// The kubeconfig of the API server; without it, the pod's own service account
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The flow log on stdout; auto: human on a terminal, else json
    #[arg(
        long,
        env = "SIDEWALL_FLOW_LOG",
        default_value = "auto",
        value_name = "json|human|auto|none"
    )]
    pub flow_log: String,

    /// At most this many flow log lines a second; what is left out is counted in a line of its own
    #[arg(
        long,
        env = "SIDEWALL_FLOW_LOG_RATE",
        default_value = "1000",
        value_name = "LINES"
    )]
    pub flow_log_rate: String,

    /// Where /livez, /readyz, /metrics, /policy and /flows listen, or none
    #[arg(
        long,
        env = "SIDEWALL_ADMIN_ADDR",
        default_value = "0.0.0.0:4391",
        value_name = "ADDR:PORT|none"
    )]
    pub admin_addr: String,

    /// How many flows are remembered at once; more are blocked until others end
    #[arg(
        long,
        env = "SIDEWALL_FLOW_TABLE_SIZE",
        default_value = "65536",
        value_name = "FLOWS"
    )]
    pub flow_table_size: String,

    /// error, warn, info, debug, trace, or a filter such as "info,sidewall_sidecar=debug"
    #[arg(
        long,
        env = "SIDEWALL_LOG_LEVEL",
        default_value = "info",
        value_name = "LEVEL"
    )]
    pub log_level: String,
}
