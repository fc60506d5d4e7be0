//! What proves a verdict: the line in the deciding sidecar's flow log, and packets counted before
//! and behind that sidecar.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use sidewall::flows::{Flow, Kind, Line, Verdict};
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::ObjectRef;
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
    pub(crate) line: Option<Logged>,
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
pub(crate) struct Logged {
    /// The pod whose sidecar decided.
    pub(crate) pod: String,
    line: Line,
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
    fn told_before(&self, query: &FlowQuery) -> Option<Logged> {
        let history = self.log.history();
        let mut lines = history.iter().rev().filter_map(Logged::read);
        (!query.passed).then(|| lines.find(|line| line.answers(query)))?
    }

    async fn find(&mut self, query: &FlowQuery) -> Option<Logged> {
        while let Some(flow) = self.lines.next().await {
            let line = Logged::read(&flow);
            if let Some(line) = line.filter(|line| line.answers(query)) {
                return Some(line);
            }
        }
        None
    }
}

impl Logged {
    /// A line that cannot be read is a mistake of the sidecar's, and told.
    pub(crate) fn read(line: &FlowLine) -> Option<Self> {
        match Line::read(&line.flow) {
            Ok(read) => Some(Self {
                pod: line.pod.to_string(),
                line: read,
            }),
            Err(why) => {
                tracing::error!("a line of {}'s flow log cannot be read: {why}", line.pod);
                None
            }
        }
    }

    fn answers(&self, query: &FlowQuery) -> bool {
        let verdict = if query.passed {
            Verdict::Forwarded
        } else {
            Verdict::Dropped
        };
        self.line.flow.as_deref().is_some_and(|flow| {
            flow.is_from(&query.source, query.protocol, query.port)
                && query.at.is_none_or(|at| flow.direction() == Some(at))
                && flow.verdict == verdict
        })
    }

    /// The direction in which it was judged.
    pub(crate) fn direction(&self) -> &'static str {
        let flow = self.line.flow.as_deref();
        flow.and_then(Flow::direction)
            .map_or("unknown", Direction::as_str)
    }

    /// The policies that allowed it, or those that blocked it.
    pub(crate) fn policies(&self, allowed: bool) -> Vec<ObjectRef> {
        let flow = self.line.flow.as_deref();
        flow.map(|flow| flow.policies(allowed).collect())
            .unwrap_or_default()
    }

    /// The sidecar's explanation in the core's own words, without its headline.
    pub(crate) fn why(&self) -> Vec<String> {
        match self.line.explanation() {
            Some(explanation) => explanation
                .to_string()
                .lines()
                .skip(1)
                .map(str::to_owned)
                .collect(),
            // A very long explanation is logged as its sentence only.
            None => self.line.reason().map(str::to_owned).into_iter().collect(),
        }
    }

    /// Who talks to whom, by name where there is one.
    pub(crate) fn headline(&self) -> String {
        let Some(flow) = self.line.flow.as_deref() else {
            return String::new();
        };
        let what = match flow.called() {
            (Some(protocol), port) if protocol.has_ports() => format!("{protocol} {port}"),
            (Some(protocol), _) => protocol.to_string(),
            (None, _) => String::new(),
        };
        let (from, to) = (
            flow.name_of(Direction::Egress),
            flow.name_of(Direction::Ingress),
        );
        format!("{from} → {to} {what}")
    }

    /// What was decided; `None` for lines that tell of no flow.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.line.flow.as_ref().map(|flow| flow.verdict)
    }

    /// Whether it tells of the end of a flow.
    pub(crate) fn is_end(&self) -> bool {
        let own = self.line.sidewall.as_ref();
        own.is_some_and(|own| own.kind == Kind::End)
    }
}
