//! The words of Hubble's layouts: ends, types, verdicts, identities.

use std::net::IpAddr;

use anstyle::{AnsiColor, Style};
use sidewall::flows::filter::flags::{IDENTITIES, TRACE_POINTS};
use sidewall::flows::{
    Allowance, Endpoint, EventType, Flow, Layer4, Service, TrafficDirection, Verdict,
};

use crate::ui;

/// Hubble's colours of names, ports and identities.
const HOST: Style = AnsiColor::Cyan.on_default();
const PORT: Style = AnsiColor::Yellow.on_default();
const IDENTITY: Style = AnsiColor::Magenta.on_default();

/// Escape sequences and carriage returns are shown, not sent to the terminal: a name may come from
/// anywhere (cilium `hubble/pkg/printer/terminal.go`).
pub(super) fn escape(text: &str) -> String {
    text.replace('\u{1b}', "^[").replace('\r', "\\r")
}

/// Source and destination: `namespace/pod:port`, or the address.
pub(super) fn ends(flow: &Flow, numeric: bool, colour: bool) -> (String, String) {
    let ports = flow.l4.ports();
    let has_ports = matches!(flow.l4, Layer4::Tcp(..) | Layer4::Udp(_) | Layer4::Sctp(_));
    let end = |address: Option<IpAddr>, endpoint, service, names: &[String], port: u16| {
        let Some(address) = address else {
            return String::new();
        };
        let name = if numeric {
            None
        } else {
            name(endpoint, service, names)
        };
        let name = escape(&name.unwrap_or_else(|| address.to_string()));
        if !has_ports || port == 0 {
            return paint(HOST, &name, colour);
        }
        let name = if name.contains(':') {
            format!("[{name}]")
        } else {
            name
        };
        let port = paint(PORT, &port.to_string(), colour);
        format!("{}:{port}", paint(HOST, &name, colour))
    };
    (
        end(
            flow.ip.source,
            &flow.source,
            &flow.source_service,
            &flow.source_names,
            ports.source,
        ),
        end(
            flow.ip.destination,
            &flow.destination,
            &flow.destination_service,
            &flow.destination_names,
            ports.destination,
        ),
    )
}

fn name(endpoint: &Endpoint, service: &Option<Service>, names: &[String]) -> Option<String> {
    let namespace = service
        .as_ref()
        .map_or(&endpoint.namespace, |service| &service.namespace);
    let join = |name: &str| match namespace.as_str() {
        "" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    };
    match service {
        _ if !endpoint.pod_name.is_empty() => Some(join(&endpoint.pod_name)),
        Some(service) if !service.name.is_empty() => Some(join(&service.name)),
        _ => (!names.is_empty()).then(|| names.join(",")),
    }
}

fn paint(style: Style, text: &str, colour: bool) -> String {
    if colour {
        ui::paint(style, text)
    } else {
        text.to_owned()
    }
}

/// `(world)`, or `(ID:4711)`.
pub(super) fn identity(endpoint: &Endpoint) -> String {
    let number = endpoint.identity;
    let reserved = IDENTITIES.iter().find(|(_, known)| *known == number);
    ui::paint(
        IDENTITY,
        match reserved {
            Some((name, _)) => format!("({name})"),
            None => format!("(ID:{number})"),
        },
    )
}

/// What kind of event it is: `policy-verdict:L3-L4 INGRESS`, `to-endpoint`.
pub(super) fn flow_type(flow: &Flow) -> String {
    let EventType { number, sub_type } = flow.event_type.unwrap_or_default();
    match number {
        // Hubble says it in words of its datapath; the reason's name says as much.
        1 => flow.drop_reason_desc.to_lowercase().replace('_', " "),
        4 => usize::try_from(sub_type)
            .ok()
            .and_then(|at| TRACE_POINTS.get(at))
            .map_or_else(|| sub_type.to_string(), |point| (*point).to_owned()),
        5 => {
            // cilium `pkg/monitor/api/types.go`.
            let matched = match flow.policy_match_type {
                0 => "none",
                1 => "L3-Only",
                2 => "L3-L4",
                3 => "L4-Only",
                4 => "all",
                5 => "L3-Proto",
                6 => "Proto-Only",
                _ => "unknown",
            };
            format!(
                "policy-verdict:{matched} {}",
                flow.traffic_direction.as_str()
            )
        }
        // A socket's addresses translated, before or after, there or back (cilium
        // `api/v1/flow/flow.proto`, SocketTranslationPoint).
        7 => match sub_type {
            1 => "pre-xlate-fwd",
            2 => "post-xlate-fwd",
            3 => "pre-xlate-rev",
            4 => "post-xlate-rev",
            _ => "SOCK_XLATE_POINT_UNKNOWN",
        }
        .to_owned(),
        _ => "UNKNOWN".to_owned(),
    }
}

/// The verdict, of policy verdicts in words for people, with the policies if they are wanted.
pub(super) fn verdict(flow: &Flow, policy_names: bool, colour: bool) -> String {
    let by_policy = flow.event_type.is_some_and(|event| event.number == 5);
    let lists = match flow.traffic_direction {
        TrafficDirection::Ingress => Some((&flow.ingress_allowed_by, &flow.ingress_denied_by)),
        TrafficDirection::Egress => Some((&flow.egress_allowed_by, &flow.egress_denied_by)),
        TrafficDirection::Unknown => None,
    };
    let names = |list: Option<&Vec<Allowance>>| match list {
        Some(list) if policy_names => by(list),
        _ => String::new(),
    };
    let (style, word) = match flow.verdict {
        Verdict::Forwarded | Verdict::Redirected if by_policy => (
            ui::GOOD,
            format!("ALLOWED{}", names(lists.map(|lists| lists.0))),
        ),
        Verdict::Forwarded | Verdict::Redirected => (ui::GOOD, flow.verdict.to_string()),
        Verdict::Dropped | Verdict::Error if by_policy => (
            ui::BAD,
            format!("DENIED{}", names(lists.map(|lists| lists.1))),
        ),
        Verdict::Dropped | Verdict::Error => (ui::BAD, flow.verdict.to_string()),
        Verdict::Audit if by_policy => (
            ui::WARN,
            format!("AUDITED{}", names(lists.map(|lists| lists.1))),
        ),
        Verdict::Audit => (ui::WARN, flow.verdict.to_string()),
        _ => (Style::new(), flow.verdict.to_string()),
    };
    paint(style, &escape(&word), colour)
}

fn by(policies: &[Allowance]) -> String {
    let named = policies
        .iter()
        .filter(|policy| !policy.kind.is_empty() && !policy.name.is_empty());
    let named: Vec<String> = named
        .map(|policy| format!("{} ({})", policy.name, policy.kind))
        .collect();
    if named.is_empty() {
        String::new()
    } else {
        format!(" BY {}", named.join(", "))
    }
}
