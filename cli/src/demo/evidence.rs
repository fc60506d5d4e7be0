//! What proves a verdict: the line in the deciding sidecar's flow log, and packets counted before
//! and behind that sidecar.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::explain::Explanation;
use sidewall_lab::{Capture, FlowLine, Flows, Lab, Pod, Point};

/// How long the log may lag behind the packet. It takes milliseconds; a busy machine gets more.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// Watches while a probe is made.
pub(crate) struct Watch {
    log: Flows,
    lines: futures::stream::BoxStream<'static, FlowLine>,
    captures: Option<Captures>,
}

struct Captures {
    addresses: Vec<IpAddr>,
    arriving: Capture,
    delivered: Capture,
}

/// Which line of the log belongs to the probe.
pub(crate) struct FlowQuery {
    pub(crate) source: Vec<IpAddr>,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) at: Option<Direction>,
    pub(crate) passed: bool,
}

/// What was found.
pub(crate) struct Evidence {
    pub(crate) line: Option<Line>,
    pub(crate) packets: Option<Packets>,
}

/// First packets of connections at the destination pod.
pub(crate) struct Packets {
    /// That came to its eth0.
    pub(crate) arrived: usize,
    /// That its IP stack handed on to an application.
    pub(crate) delivered: usize,
}

/// A line of the flow log.
#[derive(Debug)]
pub(crate) struct Line {
    /// The pod whose sidecar decided.
    pub(crate) pod: String,
    value: std::sync::Arc<Value>,
}

impl Watch {
    /// Starts to look: at the log, and at the destination's interface where it is a pod.
    pub(crate) async fn start(lab: &Lab, destination: Option<&Pod>) -> anyhow::Result<Self> {
        let captures = match destination {
            Some(pod) => Some(Captures {
                addresses: pod.addresses().to_vec(),
                arriving: lab
                    .capture(pod.name(), Point::Interface("eth0".to_owned()))
                    .await?,
                delivered: lab.capture(pod.name(), Point::Delivered).await?,
            }),
            None => None,
        };
        Ok(Self {
            log: lab.flows().clone(),
            lines: lab.flows().live().boxed(),
            captures,
        })
    }

    /// What was seen of this flow since the start.
    pub(crate) async fn evidence(mut self, query: FlowQuery) -> Evidence {
        let new = tokio::time::timeout(LOG_PATIENCE, self.find(&query)).await;
        let line = new.ok().flatten().or_else(|| self.told_before(&query));
        let packets = self.captures.map(|captures| {
            let first = |seen: &sidewall_lab::Seen| {
                seen.incoming
                    && seen.protocol == query.protocol
                    && seen.destination.port() == query.port
                    && captures.addresses.contains(&seen.destination.ip())
                    && query.source.contains(&seen.source.ip())
                    && (query.protocol != Protocol::TCP || seen.is_syn())
            };
            Packets {
                arrived: captures.arriving.count(first),
                delivered: captures.delivered.count(first),
            }
        });
        Evidence { line, packets }
    }

    /// A blocked flow that is tried again under the same rules is no new line but part of a count:
    /// then the line it had still stands.
    fn told_before(&self, query: &FlowQuery) -> Option<Line> {
        let history = self.log.history();
        let mut lines = history.into_iter().rev().map(Line::from);
        (!query.passed).then(|| lines.find(|line| line.answers(query)))?
    }

    async fn find(&mut self, query: &FlowQuery) -> Option<Line> {
        while let Some(flow) = self.lines.next().await {
            let line = Line::from(flow);
            if line.answers(query) {
                return Some(line);
            }
        }
        None
    }
}

impl From<FlowLine> for Line {
    fn from(line: FlowLine) -> Self {
        Self {
            pod: line.pod.to_string(),
            value: line.flow,
        }
    }
}

impl Line {
    fn answers(&self, query: &FlowQuery) -> bool {
        let l4 = format!("/flow/l4/{}/destination_port", query.protocol);
        let direction = self.text("/flow/traffic_direction");
        self.text("/flow/IP/source")
            .parse()
            .is_ok_and(|ip| query.source.contains(&ip))
            && self.value.pointer(&l4).and_then(Value::as_u64) == Some(u64::from(query.port))
            && query
                .at
                .is_none_or(|at| direction.eq_ignore_ascii_case(at.as_str()))
            && self.text("/flow/verdict") == if query.passed { "FORWARDED" } else { "DROPPED" }
    }

    /// The direction in which it was judged, in lower case.
    pub(crate) fn direction(&self) -> String {
        self.text("/flow/traffic_direction").to_lowercase()
    }

    /// The policies that allowed it, or those that blocked it.
    pub(crate) fn policies(&self, allowed: bool) -> Vec<ObjectRef> {
        let list = format!(
            "/flow/{}_{}_by",
            self.direction(),
            if allowed { "allowed" } else { "denied" }
        );
        let policies = self.value.pointer(&list).and_then(Value::as_array);
        policies
            .into_iter()
            .flatten()
            .filter_map(|policy| {
                let text = |key: &str| policy.get(key).and_then(Value::as_str).map(str::to_owned);
                Some(ObjectRef {
                    namespace: text("namespace")?,
                    name: text("name")?,
                })
            })
            .collect()
    }

    /// The sidecar's explanation in the core's own words, without its headline.
    pub(crate) fn why(&self) -> Vec<String> {
        match self.explanation() {
            Some(explanation) => explanation
                .to_string()
                .lines()
                .skip(1)
                .map(str::to_owned)
                .collect(),
            // A very long explanation is logged as its sentence only.
            None => self
                .value
                .pointer("/why/summary")
                .and_then(Value::as_str)
                .map(str::to_owned)
                .into_iter()
                .collect(),
        }
    }

    /// The log does not repeat in `why` what `flow` says; here the two are one again.
    fn explanation(&self) -> Option<Explanation> {
        let mut why = self.value.get("why")?.clone();
        let fields = why.as_object_mut()?;
        let (namespace, name) = self.pod.split_once('/')?;
        let (protocol, l4) = self.value.pointer("/flow/l4")?.as_object()?.iter().next()?;
        let direction = self.direction();
        let peer = if direction == "ingress" {
            "/flow/IP/source"
        } else {
            "/flow/IP/destination"
        };
        fields.insert(
            "pod".to_owned(),
            serde_json::json!({"namespace": namespace, "name": name}),
        );
        fields.insert("direction".to_owned(), direction.as_str().into());
        fields.insert("peer".to_owned(), self.text(peer).into());
        fields.insert("protocol".to_owned(), protocol.as_str().into());
        fields.insert(
            "port".to_owned(),
            l4.get("destination_port")
                .cloned()
                .unwrap_or_else(|| 0.into()),
        );
        serde_json::from_value(why).ok()
    }

    /// Who talks to whom, by name where there is one.
    pub(crate) fn headline(&self) -> String {
        let party = |side: &str| {
            let name = self.text(&format!("/flow/{side}/pod_name"));
            match name {
                "" => self.text(&format!("/flow/IP/{side}")).to_owned(),
                name => format!("{}/{name}", self.text(&format!("/flow/{side}/namespace"))),
            }
        };
        let l4 = self
            .value
            .pointer("/flow/l4")
            .and_then(Value::as_object)
            .and_then(|l4| l4.iter().next());
        let what = l4.map_or_else(String::new, |(protocol, ports)| {
            match ports.get("destination_port") {
                Some(port) => format!("{protocol} {port}"),
                None => protocol.clone(),
            }
        });
        format!("{} → {} {what}", party("source"), party("destination"))
    }

    /// `FORWARDED`, `DROPPED` or `AUDIT`.
    pub(crate) fn verdict(&self) -> &str {
        self.text("/flow/verdict")
    }

    /// `new`, `end` or `revoked`; nothing in lines that tell of no flow.
    pub(crate) fn kind(&self) -> &str {
        self.text("/sidewall/kind")
    }

    fn text(&self, pointer: &str) -> &str {
        self.value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}
