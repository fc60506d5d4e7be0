//! A line of the flow log, from text to a typed value: `GetFlowsResponse` of cilium's
//! `api/v1/observer/observer.proto` in protobuf's JSON mapping with the names of the proto.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::layer4::{Layer4, Layer7};
use super::parts::{
    Addresses, Allowance, Endpoint, EventType, Own, Service, TrafficDirection, Verdict,
};
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::ObjectRef;
use crate::policy::explain::Explanation;

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Line {
    /// When it was written.
    pub time: Option<Timestamp>,
    /// The node it was written on.
    pub node_name: String,
    /// The flow it tells of.
    pub flow: Option<Box<Flow>>,
    /// The lines it tells the loss of.
    pub lost_events: Option<Lost>,
    /// What Hubble has no field for; `None` in Cilium's own lines.
    pub sidewall: Option<Own>,
    /// The explanation, as written: without what `flow` says already. See [`Line::explanation`].
    pub why: Option<Value>,
}

/// A flow: one packet of it, and what was decided.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Flow {
    /// When the packet came.
    pub time: Option<Timestamp>,
    /// Names the line.
    pub uuid: String,
    /// What was decided.
    pub verdict: Verdict,
    /// Hubble's nearest drop reason, such as `POLICY_DENIED`; ours is in [`Own::verdict`].
    pub drop_reason_desc: String,
    /// Source and destination.
    #[serde(rename = "IP")]
    pub ip: Addresses,
    /// Protocol and ports.
    pub l4: Layer4,
    /// Who sent the packet.
    pub source: Endpoint,
    /// Whom it was for.
    pub destination: Endpoint,
    /// The node it was seen on.
    pub node_name: String,
    /// Domain names of the source.
    pub source_names: Vec<String>,
    /// Domain names of the destination.
    pub destination_names: Vec<String>,
    /// What a proxy saw; ours never does.
    pub l7: Option<Layer7>,
    /// Trace, verdict or drop.
    pub event_type: Option<EventType>,
    /// The Service whose address the source is.
    pub source_service: Option<Service>,
    /// The Service whose address the destination is.
    pub destination_service: Option<Service>,
    /// At which end it was seen.
    pub traffic_direction: TrafficDirection,
    /// Which parts of a rule matched (cilium `pkg/monitor/api/types.go`).
    pub policy_match_type: u32,
    /// Whether the packet answers one that came before; `None`: not known.
    pub is_reply: Option<bool>,
    /// The packet in a few words.
    #[serde(rename = "Summary")]
    pub summary: String,
    /// Policies that allowed it to leave.
    pub egress_allowed_by: Vec<Allowance>,
    /// Policies that allowed it to come in.
    pub ingress_allowed_by: Vec<Allowance>,
    /// Policies that did not let it leave.
    pub egress_denied_by: Vec<Allowance>,
    /// Policies that did not let it come in.
    pub ingress_denied_by: Vec<Allowance>,
}

/// Lines that were not written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Lost {
    /// Where they were lost, in Hubble's words.
    pub source: String,
    /// How many. Protobuf writes 64-bit numbers as text.
    #[serde(deserialize_with = "super::parts::number")]
    pub num_events_lost: u64,
}

/// Why a text is no line of a flow log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It is not JSON: somebody else's message, or a line that was cut.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// It is JSON, but tells neither of a flow nor of lost lines.
    #[error("neither `flow` nor `lost_events` is in it")]
    NotAFlow,
    /// A field cannot be understood.
    #[error("{field}: {problem}")]
    Field {
        /// Its path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Line {
    /// Reads one line.
    ///
    /// # Errors
    /// When it is none; nothing of it is guessed.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let value: Value =
            serde_json::from_str(text).map_err(|why| BadLine::NotJson(why.to_string()))?;
        Self::read(&value)
    }

    /// Reads a line that is JSON already.
    ///
    /// # Errors
    /// When it is none; nothing of it is guessed.
    pub fn read(value: &Value) -> Result<Self, BadLine> {
        if value.get("flow").is_none() && value.get("lost_events").is_none() {
            return Err(BadLine::NotAFlow);
        }
        serde_path_to_error::deserialize(value).map_err(|why| BadLine::Field {
            field: why.path().to_string(),
            problem: why.into_inner().to_string(),
        })
    }

    /// One sentence: why this verdict. Of lines with an explanation only.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.why.as_ref()?.get("summary")?.as_str()
    }

    /// The whole explanation: what `why` says, and what `flow` says, put together again. `None` also
    /// when it was too long for the log; [`Line::reason`] is there then.
    #[must_use]
    pub fn explanation(&self) -> Option<Explanation> {
        let flow = self.flow.as_deref()?;
        let mut why = self.why.clone()?;
        let fields = why.as_object_mut()?;
        let direction = flow.direction()?;
        let peer = match direction {
            Direction::Ingress => flow.ip.source?,
            Direction::Egress => flow.ip.destination?,
        };
        let pod = flow.observer()?.pod()?;
        fields.insert("pod".to_owned(), serde_json::to_value(pod).ok()?);
        fields.insert("direction".to_owned(), direction.as_str().into());
        fields.insert("peer".to_owned(), peer.to_string().into());
        fields.insert(
            "protocol".to_owned(),
            flow.l4.protocol()?.to_string().into(),
        );
        fields.insert("port".to_owned(), flow.l4.ports().destination.into());
        serde_json::from_value(why).ok()
    }
}

impl Flow {
    /// The direction in which the packet was judged.
    #[must_use]
    pub const fn direction(&self) -> Option<Direction> {
        match self.traffic_direction {
            TrafficDirection::Ingress => Some(Direction::Ingress),
            TrafficDirection::Egress => Some(Direction::Egress),
            TrafficDirection::Unknown => None,
        }
    }

    /// The end whose sidecar saw the packet.
    #[must_use]
    pub fn observer(&self) -> Option<&Endpoint> {
        Some(match self.direction()? {
            Direction::Ingress => &self.destination,
            Direction::Egress => &self.source,
        })
    }

    /// The policies that decided: those that allowed it, or those that isolate the pod. They stand
    /// under the direction of the flow's first packet.
    pub fn policies(&self, allowed: bool) -> impl Iterator<Item = ObjectRef> + '_ {
        let lists = if allowed {
            [&self.ingress_allowed_by, &self.egress_allowed_by]
        } else {
            [&self.ingress_denied_by, &self.egress_denied_by]
        };
        lists.into_iter().flatten().map(|policy| ObjectRef {
            namespace: policy.namespace.clone(),
            name: policy.name.clone(),
        })
    }

    /// Whether it is a packet from one of these addresses to a port.
    #[must_use]
    pub fn is_from(&self, sources: &[IpAddr], protocol: Protocol, port: u16) -> bool {
        self.ip
            .source
            .is_some_and(|source| sources.contains(&source))
            && self.called() == (Some(protocol), port)
    }

    /// Protocol and destination port.
    #[must_use]
    pub fn called(&self) -> (Option<Protocol>, u16) {
        (self.l4.protocol(), self.l4.ports().destination)
    }

    /// An end's name, or its address: `shop/web`, `shop/db` of a Service, `10.0.0.1`.
    #[must_use]
    pub fn name_of(&self, end: Direction) -> String {
        let (endpoint, service, address) = match end {
            Direction::Egress => (&self.source, &self.source_service, self.ip.source),
            Direction::Ingress => (
                &self.destination,
                &self.destination_service,
                self.ip.destination,
            ),
        };
        match (endpoint.pod(), service) {
            (Some(pod), _) => pod.to_string(),
            (None, Some(service)) => format!("{}/{}", service.namespace, service.name),
            (None, None) => address.map_or_else(String::new, |address: IpAddr| address.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_line_says_what_it_is() {
        for (text, problem) in [
            ("level=INFO ready", "not JSON"),
            (r#"{"level":"INFO"}"#, "neither `flow` nor `lost_events`"),
            (
                r#"{"flow":{"verdict":"MAYBE"}}"#,
                "flow.verdict: unknown variant `MAYBE`",
            ),
            (
                r#"{"flow":{"IP":{"source":"10.0.0"}}}"#,
                "flow.IP.source: invalid IP address",
            ),
            (
                r#"{"flow":{"l4":{"TCP":{"destination_port":70000}}}}"#,
                "flow.l4.TCP.destination_port: invalid value",
            ),
            (r#"{"flow":{"time":"yesterday"}}"#, "flow.time:"),
        ] {
            let why = Line::parse(text).expect_err(text).to_string();
            assert!(why.contains(problem), "{text}: {why}");
        }
    }

    #[test]
    fn a_line_of_cilium_itself_is_read_too() {
        let line = Line::parse(
            r#"{"flow":{"time":"2026-11-21T10:00:00.123456789Z","verdict":"FORWARDED","ethernet":{"source":"a"},
            "IP":{"source":"fd00::1","destination":"fd00::2","ipVersion":"IPv6"},"l4":{"ICMPv6":{"type":128}},
            "source":{"ID":1,"identity":1,"labels":["reserved:host"]},"destination":{"ID":7,"identity":4711,
            "namespace":"a","labels":["k8s:app=x"],"pod_name":"b"},"Type":"L3_L4","event_type":{"type":4,"sub_type":0},
            "traffic_direction":"INGRESS","is_reply":false,"Summary":"ICMPv6 EchoRequest"},"node_name":"n","time":"2026-11-21T10:00:00Z"}"#,
        )
        .expect("a line");
        let flow = line.flow.expect("a flow");
        assert_eq!(flow.called(), (Some(Protocol::ICMPV6), 0));
        assert_eq!(flow.name_of(Direction::Egress), "fd00::1");
        assert_eq!(flow.name_of(Direction::Ingress), "a/b");
        assert_eq!(line.sidewall, None);
    }

    #[test]
    fn lost_lines_are_counted_as_protobuf_writes_numbers() {
        let line = Line::parse(
            r#"{"lost_events":{"source":"X","num_events_lost":"18446744073709551615"}}"#,
        );
        assert_eq!(
            line.expect("a line")
                .lost_events
                .expect("a loss")
                .num_events_lost,
            u64::MAX
        );
    }
}
