//! The configuration, in two steps: as typed ([`Args`]) → validated ([`Config`]).
//!
//! Every mistake is reported at once, in the words of the flag and its environment variable. No
//! file is opened and no name is resolved here: what is asked for may still turn out impossible,
//! and then the part that tried says so. [`Config`]'s `Display` is the block printed at start.

mod args;
mod words;
mod wrong;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use sidewall::engine::skipped::SkippedPorts;
use sidewall::policy::allow_list::ObjectRef;

pub use self::args::Args;
pub use self::words::{
    FlowLogFormat, Mode, Offload, OnBlock, PolicySource, ServiceMixed, Steering,
};
use self::wrong::Wrong;

/// The admin port: /livez, /readyz, /metrics, /policy and /flows.
pub const ADMIN_PORT: u16 = 4391;

/// What the sidecar does, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The pod to guard.
    pub pod: ObjectRef,
    /// The pod's uid, if it was given.
    pub pod_uid: Option<String>,
    /// The node's name, if it was given.
    pub node_name: Option<String>,
    /// The pod's network interface.
    pub interface: String,
    /// What happens to what is not allowed, unless an annotation says otherwise.
    pub mode: Mode,
    /// How a blocked packet is answered.
    pub on_block: OnBlock,
    /// How packets get to the sidecar.
    pub steering: Steering,
    /// Whether established flows may be carried by the kernel.
    pub offload: Offload,
    /// What holds for a Service with some allowed endpoints.
    pub service_mixed: ServiceMixed,
    /// Ports that no policy is asked about.
    pub skipped: SkippedPorts,
    /// Where policies come from.
    pub source: Source,
    /// The flow log's format.
    pub flow_log: FlowLogFormat,
    /// Most flow log lines in a second.
    pub flow_log_rate: u32,
    /// Where the admin server listens, if at all.
    pub admin_addr: Option<SocketAddr>,
    /// Most flows at once.
    pub flow_table_size: usize,
    /// A filter for the program log.
    pub log_level: String,
}

/// Where policies come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// YAML files of a directory.
    Manifests(PathBuf),
    /// An API server, by the pod's service account or by a kubeconfig.
    Cluster {
        /// The kubeconfig; `None`: the service account.
        kubeconfig: Option<PathBuf>,
    },
    /// Sidewall's controller, through an API server: the pod's own list, ready-made.
    Lists {
        /// The kubeconfig; `None`: the service account.
        kubeconfig: Option<PathBuf>,
        /// Where the last list is kept for the next start.
        cache: Option<PathBuf>,
    },
}

/// Everything that is wrong with the command line, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

impl TryFrom<Args> for Config {
    type Error = Mistakes;

    fn try_from(args: Args) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        let config = Self {
            pod: ObjectRef {
                namespace: wrong.name("pod-namespace", "POD_NAMESPACE", args.pod_namespace),
                name: wrong.name("pod-name", "POD_NAME", args.pod_name),
            },
            pod_uid: args.pod_uid.filter(|uid| !uid.is_empty()),
            node_name: args.node_name.filter(|name| !name.is_empty()),
            interface: wrong.interface(args.interface),
            mode: wrong.word(
                "mode",
                &args.mode,
                Mode::WORDS,
                Mode::from_word,
                Mode::Enforce,
            ),
            on_block: wrong.word(
                "on-block",
                &args.on_block,
                OnBlock::WORDS,
                OnBlock::from_word,
                OnBlock::Reject,
            ),
            steering: wrong.word(
                "steering",
                &args.steering,
                Steering::WORDS,
                Steering::from_word,
                Steering::Auto,
            ),
            offload: wrong.word(
                "offload",
                &args.offload,
                Offload::WORDS,
                Offload::from_word,
                Offload::On,
            ),
            service_mixed: wrong.word(
                "service-mixed",
                &args.service_mixed,
                ServiceMixed::WORDS,
                ServiceMixed::from_word,
                ServiceMixed::Block,
            ),
            skipped: SkippedPorts {
                inbound: wrong.ports("skip-inbound-ports", &args.skip_inbound_ports),
                outbound: wrong.ports("skip-outbound-ports", &args.skip_outbound_ports),
            },
            source: wrong.source(
                args.policy_source,
                args.manifests,
                args.kubeconfig,
                args.cache_dir,
            ),
            flow_log: wrong.word(
                "flow-log",
                &args.flow_log,
                FlowLogFormat::WORDS,
                FlowLogFormat::from_word,
                FlowLogFormat::Auto,
            ),
            flow_log_rate: wrong.flow_log_rate(&args.flow_log_rate),
            admin_addr: wrong.admin_addr(&args.admin_addr),
            flow_table_size: wrong.flow_table_size(&args.flow_table_size),
            log_level: wrong.log_level(args.log_level),
        };
        if wrong.0.is_empty() {
            Ok(config)
        } else {
            Err(Mistakes(wrong.0))
        }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}/{}", self.pod.namespace, self.pod.name)?;
        write!(f, ", interface {}", self.interface)?;
        write!(f, ", mode {}", self.mode)?;
        write!(f, ", on block {}", self.on_block)?;
        write!(f, ", steering {}, offload {}", self.steering, self.offload)?;
        write!(f, ", mixed services {}", self.service_mixed)?;
        for (which, ports) in [
            ("inbound", &self.skipped.inbound),
            ("outbound", &self.skipped.outbound),
        ] {
            if !ports.is_empty() {
                write!(f, ", skipped {which} ports {ports}")?;
            }
        }
        match &self.source {
            Source::Manifests(directory) => write!(f, ", manifests {}", directory.display())?,
            Source::Cluster { kubeconfig } => write!(f, ", {}", Credentials(kubeconfig))?,
            Source::Lists { kubeconfig, cache } => {
                write!(f, ", ready-made allow list, {}", Credentials(kubeconfig))?;
                if let Some(directory) = cache {
                    write!(f, ", kept in {}", directory.display())?;
                }
            }
        }
        write!(
            f,
            ", flow log {} (at most {} lines a second)",
            self.flow_log, self.flow_log_rate
        )?;
        match self.admin_addr {
            Some(address) => write!(f, ", admin {address}")?,
            None => f.write_str(", no admin port")?,
        }
        write!(
            f,
            ", up to {} flows, log {}",
            self.flow_table_size, self.log_level
        )
    }
}

/// Where the API server's address and credentials come from.
struct Credentials<'a>(&'a Option<PathBuf>);

impl fmt::Display for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "kubeconfig {}", path.display()),
            None => f.write_str("in-cluster service account"),
        }
    }
}

#[cfg(test)]
mod tests;
