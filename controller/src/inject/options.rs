//! What can be asked of a sidecar: one table for the cluster's settings and for the pods'
//! annotations `config.sidewall.dev/…`.
//!
//! Every option has a name, a check, and a place in the container. The words are the sidecar's
//! own; a test of this crate starts the sidecar's configuration from what is written here. An
//! unknown name or a bad value is a mistake, and all mistakes are told at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use sidewall::engine::skipped::PortList;

use super::quantity;
use super::tree::Node;

/// What the annotations begin with.
pub const PREFIX: &str = "config.sidewall.dev/";

/// The sidecar's admin port, unless an option says otherwise.
pub const ADMIN_PORT: &str = "4391";

/// The name of an option, and what may be said.
#[derive(Debug)]
pub struct Known {
    /// As after the prefix.
    pub name: &'static str,
    /// What it accepts.
    pub accepts: Accepts,
    /// The sidecar's environment variable, for those that are handed on as they are.
    pub variable: Option<&'static str>,
}

/// What an option accepts.
#[derive(Debug)]
pub enum Accepts {
    /// One of these words.
    Words(&'static [&'static str]),
    /// A whole number of this range.
    Number(u32, u32),
    /// A list of ports, as the sidecar reads it.
    Ports,
    /// A Kubernetes quantity above zero.
    Quantity,
    /// A log filter.
    LogFilter,
}

/// Every option, in the order of the container's environment.
pub const KNOWN: [Known; 18] = [
    known(
        "mode",
        Accepts::Words(&["enforce", "audit"]),
        Some("SIDEWALL_MODE"),
    ),
    known(
        "on-block",
        Accepts::Words(&["reject", "drop"]),
        Some("SIDEWALL_ON_BLOCK"),
    ),
    known(
        "service-mixed",
        Accepts::Words(&["allow", "block"]),
        Some("SIDEWALL_SERVICE_MIXED"),
    ),
    known(
        "skip-inbound-ports",
        Accepts::Ports,
        Some("SIDEWALL_SKIP_INBOUND_PORTS"),
    ),
    known(
        "skip-outbound-ports",
        Accepts::Ports,
        Some("SIDEWALL_SKIP_OUTBOUND_PORTS"),
    ),
    known(
        "steering",
        Accepts::Words(&["auto", "bpf", "tc"]),
        Some("SIDEWALL_STEERING"),
    ),
    known(
        "offload",
        Accepts::Words(&["on", "off"]),
        Some("SIDEWALL_OFFLOAD"),
    ),
    known(
        "flow-log",
        Accepts::Words(&["json", "human", "auto", "none"]),
        Some("SIDEWALL_FLOW_LOG"),
    ),
    known(
        "flow-log-rate",
        Accepts::Number(1, u32::MAX),
        Some("SIDEWALL_FLOW_LOG_RATE"),
    ),
    known(
        "flow-table-size",
        Accepts::Number(64, 4_194_304),
        Some("SIDEWALL_FLOW_TABLE_SIZE"),
    ),
    known("log-level", Accepts::LogFilter, Some("SIDEWALL_LOG_LEVEL")),
    known(
        "policy-source",
        Accepts::Words(&["allowlists", "api"]),
        Some("SIDEWALL_POLICY_SOURCE"),
    ),
    known("admin-port", Accepts::Number(1, 65_535), None),
    known("cpu-request", Accepts::Quantity, None),
    known("cpu-limit", Accepts::Quantity, None),
    known("memory-request", Accepts::Quantity, None),
    known("memory-limit", Accepts::Quantity, None),
    known("drop-net-raw", Accepts::Words(&["true", "false"]), None),
];

const fn known(name: &'static str, accepts: Accepts, variable: Option<&'static str>) -> Known {
    Known {
        name,
        accepts,
        variable,
    }
}

/// Options by name, every one of them known and good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, Typed>",
    into = "BTreeMap<String, String>"
)]
pub struct Options(BTreeMap<&'static str, String>);

impl Options {
    /// Reads and checks options.
    ///
    /// # Errors
    /// Every mistake, one sentence each.
    pub fn read<'a>(
        typed: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<String>> {
        Self::default().changed_by(typed, "")
    }

    /// These options, changed by what was typed.
    ///
    /// # Errors
    /// Every mistake, one sentence each.
    pub fn changed<'a>(
        &self,
        typed: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<String>> {
        self.changed_by(typed, "")
    }

    /// These options, changed by what a pod's annotations say.
    ///
    /// # Errors
    /// Every mistake, one sentence each.
    pub fn with_overrides(&self, pod: &Node) -> Result<Self, Vec<String>> {
        let annotations = pod.at(&["metadata", "annotations"]);
        let ours = annotations
            .and_then(Node::as_map)
            .into_iter()
            .flat_map(|annotations| annotations.iter())
            .filter_map(|(key, value)| {
                let name = key.strip_prefix(PREFIX)?;
                Some((name, value.as_str().unwrap_or("not text: put it in quotes")))
            });
        self.changed_by(ours, PREFIX)
    }

    /// The value of an option, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether the capability NET_RAW is to be taken from the app's containers.
    #[must_use]
    pub fn drop_net_raw(&self) -> bool {
        self.get("drop-net-raw") == Some("true")
    }

    /// Whether the sidecar keeps the list that it was given for its next start: one that reads the API
    /// itself starts from what the API says.
    #[must_use]
    pub fn keeps_its_list(&self) -> bool {
        self.get("policy-source") == Some("allowlists")
    }

    fn changed_by<'a>(
        &self,
        typed: impl IntoIterator<Item = (&'a str, &'a str)>,
        prefix: &str,
    ) -> Result<Self, Vec<String>> {
        let mut options = self.clone();
        let mut mistakes = Vec::new();
        for (name, value) in typed {
            let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
                let names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
                mistakes.push(format!(
                    "{prefix}{name} is not known: there are {}",
                    names.join(", ")
                ));
                continue;
            };
            match known.accepts.wants(value) {
                None => _ = options.0.insert(known.name, value.to_owned()),
                Some(wanted) => {
                    mistakes.push(format!("{prefix}{name} is {value:?}: it must be {wanted}"));
                }
            }
        }
        mistakes.extend(options.limits_below_requests(prefix));
        if mistakes.is_empty() {
            Ok(options)
        } else {
            Err(mistakes)
        }
    }

    /// The API server would refuse these too, but only after the pod's author was sent to look
    /// for a container that they did not write.
    fn limits_below_requests(&self, prefix: &str) -> impl Iterator<Item = String> {
        ["cpu", "memory"].into_iter().filter_map(move |resource| {
            let request = self.get(&format!("{resource}-request"))?;
            let limit = self.get(&format!("{resource}-limit"))?;
            let below = quantity::read(limit)? < quantity::read(request)?;
            below
                .then(|| format!("{prefix}{resource}-limit {limit} is below the request {request}"))
        })
    }
}

impl Accepts {
    /// What it wants instead of this value; `None` when the value is good.
    fn wants(&self, value: &str) -> Option<String> {
        match self {
            Accepts::Words(words) => {
                (!words.contains(&value)).then(|| format!("one of {}", words.join(", ")))
            }
            Accepts::Number(least, most) => {
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                let fits = value
                    .parse()
                    .is_ok_and(|number: u32| (*least..=*most).contains(&number));
                (!digits || !fits).then(|| format!("a number from {least} to {most}"))
            }
            Accepts::Ports => value.parse::<PortList>().err().map(|bad| bad.to_string()),
            Accepts::Quantity => quantity::read(value)
                .is_none()
                .then(|| "a quantity above zero, such as 100m or 64Mi".to_owned()),
            Accepts::LogFilter => value
                .parse::<tracing_subscriber::filter::Targets>()
                .is_err()
                .then(|| "error, warn, info, debug, trace, or target=level,…".to_owned()),
        }
    }
}

/// A value as people type it into a settings file: `adminPort: 4391` and `"4391"` alike.
#[derive(Deserialize)]
#[serde(untagged)]
enum Typed {
    Bool(bool),
    Number(u64),
    Text(String),
}

impl TryFrom<BTreeMap<String, Typed>> for Options {
    type Error = String;

    fn try_from(typed: BTreeMap<String, Typed>) -> Result<Self, String> {
        let typed: Vec<(String, String)> = typed
            .into_iter()
            .map(|(name, value)| {
                let value = match value {
                    Typed::Bool(value) => value.to_string(),
                    Typed::Number(value) => value.to_string(),
                    Typed::Text(value) => value,
                };
                (name, value)
            })
            .collect();
        let pairs = typed.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        Options::read(pairs).map_err(|mistakes| mistakes.join("; "))
    }
}

impl From<Options> for BTreeMap<String, String> {
    fn from(options: Options) -> Self {
        let pairs = options.0.into_iter();
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}
