//! The configuration, in two steps: as typed ([`Args`]) → validated ([`Config`]).
//!
//! Every mistake is reported at once, in the words of the flag and its environment variable. No
//! file is opened and no name is resolved here: what is asked for may still turn out impossible,
//! and then the part that tried says so. [`Config`]'s `Display` is the block printed at start.

mod args;
mod words;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use sidewall::engine::skipped::{PortList, SkippedPorts};
use sidewall::policy::allow_list::ObjectRef;

pub use self::args::Args;
pub use self::words::{FlowLogFormat, Mode, Offload, OnBlock, ServiceMixed, Steering};

/// The admin port: /livez, /readyz, /metrics, /policy and /flows.
pub const ADMIN_PORT: u16 = 4391;

/// Longest name of a network interface: `IFNAMSIZ` is 16 with the closing zero
/// (linux/if.h).
const INTERFACE_NAME_MAX: usize = 15;

/// Flow tables smaller than this cannot carry a pod's own DNS traffic, larger ones than this
/// would take gigabytes.
const FLOW_TABLE_RANGE: std::ops::RangeInclusive<usize> = 64..=4_194_304;

/// What the sidecar does, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The pod to guard.
    pub pod: ObjectRef,
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
            source: match (args.manifests, args.kubeconfig) {
                // KUBECONFIG is often set in a shell; the flag that was typed for this run wins.
                (Some(directory), _) => Source::Manifests(directory),
                (None, kubeconfig) => Source::Cluster {
                    kubeconfig: kubeconfig.filter(|path| !path.as_os_str().is_empty()),
                },
            },
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

/// Collects mistakes; each reader hands back some value so that reading goes on.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn word<T>(
        &mut self,
        flag: &str,
        word: &str,
        words: &[&str],
        read: fn(&str) -> Option<T>,
        otherwise: T,
    ) -> T {
        read(word).unwrap_or_else(|| {
            let words = words.join(", ");
            self.0
                .push(format!("--{flag} {word:?} is not one of: {words}"));
            otherwise
        })
    }

    fn name(&mut self, flag: &str, variable: &str, name: Option<String>) -> String {
        match name {
            Some(name) if is_dns_name(&name) => name,
            Some(name) if !name.is_empty() => {
                self.0.push(format!(
                    "--{flag} {name:?} is not a Kubernetes name (small letters, digits, '-' and '.')"
                ));
                name
            }
            _ => {
                self.0.push(format!(
                    "--{flag} is missing: give it, or set {variable} from the downward API"
                ));
                String::new()
            }
        }
    }

    fn interface(&mut self, name: String) -> String {
        let fits = (1..=INTERFACE_NAME_MAX).contains(&name.len());
        // dev_valid_name() of the kernel: no slash, colon or space, and neither "." nor "..".
        let valid = !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
        if !fits || !valid || name == "." || name == ".." {
            self.0.push(format!(
                "--interface {name:?} cannot be the name of a network interface (1 to {INTERFACE_NAME_MAX} characters)"
            ));
        }
        name
    }

    fn ports(&mut self, flag: &str, text: &str) -> PortList {
        text.parse().unwrap_or_else(|bad| {
            self.0.push(format!("--{flag} {text:?} must be {bad}"));
            PortList::default()
        })
    }

    fn admin_addr(&mut self, text: &str) -> Option<SocketAddr> {
        if text == "none" {
            return None;
        }
        let address = text.parse().ok();
        if address.is_none() {
            self.0.push(format!(
                "--admin-addr {text:?} is not an address and a port such as 0.0.0.0:{ADMIN_PORT} or [::]:{ADMIN_PORT}, nor none"
            ));
        }
        address
    }

    fn flow_log_rate(&mut self, text: &str) -> u32 {
        match text.parse() {
            Ok(rate) if rate > 0 => rate,
            _ => {
                self.0.push(format!(
                    "--flow-log-rate {text:?} is not a number of lines a second from 1 to {} (--flow-log none for no lines)",
                    u32::MAX
                ));
                1
            }
        }
    }

    fn flow_table_size(&mut self, text: &str) -> usize {
        match text.parse() {
            Ok(size) if FLOW_TABLE_RANGE.contains(&size) => size,
            _ => {
                let (least, most) = (FLOW_TABLE_RANGE.start(), FLOW_TABLE_RANGE.end());
                self.0.push(format!(
                    "--flow-table-size {text:?} is not a number from {least} to {most}"
                ));
                *least
            }
        }
    }

    fn log_level(&mut self, text: String) -> String {
        if let Err(error) = text.parse::<tracing_subscriber::filter::Targets>() {
            self.0.push(format!(
                "--log-level {text:?} is not a log filter ({error}): error, warn, info, debug, trace, or target=level,…"
            ));
        }
        text
    }
}

/// RFC 1123 subdomain as Kubernetes checks object names (apimachinery `IsDNS1123Subdomain`).
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
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
            Source::Cluster {
                kubeconfig: Some(path),
            } => write!(f, ", kubeconfig {}", path.display())?,
            Source::Cluster { kubeconfig: None } => f.write_str(", in-cluster service account")?,
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

#[cfg(test)]
mod tests;
