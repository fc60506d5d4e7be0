//! Records and allow lists that several tests look at.

use std::net::IpAddr;
use std::sync::Arc;

use sidewall::flow::{Counters, FlowKey, Millis};
use sidewall::net::{Direction, Originator, Protocol};
use sidewall::policy::allow_list::AllowList;
use sidewall::record::{FlowRecord, RecordKind};
use sidewall::verdict::{Because, Reason, RuleIndex, Verdict};

/// db's address; api's is `.2`, attacker's `.3`, the node's `10.0.1.1`.
pub(super) const DB: &str = "10.0.0.1";

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// attacker's SYN to db:80, blocked, in generation 3.
pub(super) fn blocked(attackers_port: u16) -> FlowRecord {
    FlowRecord {
        kind: RecordKind::Verdict,
        key: FlowKey {
            pod: ip(DB),
            peer: ip("10.0.0.3"),
            pod_port: 80,
            peer_port: attackers_port,
            protocol: Protocol::TCP,
        },
        originator: Originator::Peer,
        direction: Direction::Ingress,
        verdict: Verdict::Block(Reason::NoRule),
        audit: false,
        generation: 3,
        flags: 0x02,
        sent: Counters::default(),
        received: Counters {
            packets: 1,
            bytes: 60,
        },
        began: Millis(0),
        at: Millis(0),
    }
}

/// api's SYN to db:80, allowed by the only rule.
pub(super) fn allowed() -> FlowRecord {
    let mut record = blocked(40_000);
    record.key.peer = ip("10.0.0.2");
    record.verdict = Verdict::Allow(Because::Rule(RuleIndex(0)));
    record
}

/// The same flow at its end, 1.5 s later.
pub(super) fn ended() -> FlowRecord {
    FlowRecord {
        kind: RecordKind::End,
        flags: 0x11,
        sent: Counters {
            packets: 4,
            bytes: 2048,
        },
        received: Counters {
            packets: 5,
            bytes: 512,
        },
        at: Millis(1500),
        ..allowed()
    }
}

/// db admits api on TCP 80 and nobody else.
pub(super) fn list() -> Arc<AllowList> {
    let policy = serde_json::json!({"namespace": "np-demo", "name": "allow-api"});
    let list = serde_json::json!({
        "pod": {"namespace": "np-demo", "name": "db"},
        "addresses": [DB],
        "nodeAddresses": ["10.0.1.1"],
        "ingress": {
            "isolatedBy": [policy, {"namespace": "np-demo", "name": "default-deny"}],
            "rules": [{
                "id": {"policy": policy, "direction": "ingress", "index": 0},
                "peers": [{"criterion": {"pods": {"namespaces": {"own": "np-demo"}, "pods": {"matchLabels": {"app": "api"}}}}, "set": 0}],
                "ports": [{"protocol": "TCP", "port": {"range": {"from": 80, "to": 80}}}]
            }]
        },
        "egress": {"isolatedBy": [], "rules": []},
        "peerSets": [{"hosts": ["10.0.0.2"]}],
        "services": []
    });
    Arc::new(serde_json::from_value(list).expect("an allow list"))
}
