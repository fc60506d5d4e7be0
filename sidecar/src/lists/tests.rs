//! The whole source against a controller in memory: lines in, lists in force out.

mod logged;
mod restart;
mod server;
mod streams;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sidewall::lists::held::Held;
use sidewall::lists::wire::{
    Members, Modes, PeerMember, PeerSlice, PodList, SetId, SetRef, SharedList,
};
use sidewall::net::Direction;
use sidewall::policy::allow_list::{
    DirectionList, NamespaceCriterion, ObjectRef, Peer, PeerCriterion, Rule, RuleId,
};
use tokio::time::sleep;

use self::server::Server;
use super::cache::Cache;
use super::{Patience, with};
use crate::metrics::Metrics;
use crate::watch::testing::{Source, outlets, settle};

/// Waits are chance, and no test is: they take as much of their range, 1.2 s at first, 18 s at last.
const CHANCE: f64 = 0.6;

impl Source {
    fn start(server: &Server) -> Self {
        Self::start_with(server, None)
    }

    fn start_with(server: &Server, cache: Option<Cache>) -> Self {
        let mut outlets = outlets();
        outlets.metrics = Arc::new(Metrics::for_lists().expect("metrics"));
        let uid = Some("u-1".to_owned());
        let patience = Patience {
            chance: || CHANCE,
            ..Patience::default()
        };
        let work = with(server.client(), outlets.clone(), uid, cache, patience);
        Self::spawn(outlets, work)
    }

    async fn current(server: &Server) -> Self {
        Self::start(server).in_force().await
    }

    /// Whom the list in force admits.
    fn admitted(&self) -> Option<Vec<IpAddr>> {
        let in_force = self.outlets.published.in_force()?;
        Some(in_force.list.peer_sets[0].hosts.clone())
    }

    fn metrics(&self) -> String {
        let shared = crate::testing::shared();
        self.outlets.metrics.render(&shared, &Default::default())
    }
}

/// Long enough for the first waits.
async fn recover() {
    sleep(Duration::from_secs(8)).await;
}

fn named(name: &str) -> ObjectRef {
    ObjectRef {
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn set() -> SetId {
    SetId::of("peers", &"app=api")
}

/// shop/db admits these pods, by a policy that asks for app=api in namespaces with team=a.
fn admits(peers: &[(&str, &str)]) -> Held {
    let mut held = Held {
        list: Some(list(Modes::default())),
        ..Held::default()
    };
    for (name, ip) in peers {
        let member = PeerMember {
            id: named(name),
            addresses: vec![address(ip)],
            labels: Arc::new([("app".to_owned(), "api".to_owned())].into()),
            workload: None,
            node: None,
        };
        let slice = PeerSlice {
            set: set(),
            members: Members::Peers(vec![Arc::new(member)]),
        };
        held.put(slice.name(), slice).expect("its name");
    }
    held
}

fn list(modes: Modes) -> PodList {
    let selector = |text| serde_json::from_value(text).expect("a selector");
    let criterion = PeerCriterion::Pods {
        namespaces: NamespaceCriterion::Labels(selector(
            serde_json::json!({"matchLabels": {"team": "a"}}),
        )),
        pods: Some(selector(serde_json::json!({"matchLabels": {"app": "api"}}))),
    };
    let rule = Rule {
        id: RuleId {
            policy: named("deny"),
            direction: Direction::Ingress,
            index: 0,
        },
        peers: Some(vec![Peer { criterion, set: 0 }]),
        ports: None,
    };
    PodList {
        pod: named("db"),
        addresses: vec![address("10.0.0.1")],
        node_addresses: vec![address("10.0.1.1")],
        node: None,
        modes,
        shared: Arc::new(SharedList {
            ingress: DirectionList {
                isolated_by: vec![named("deny")],
                rules: vec![rule],
                ..DirectionList::default()
            },
            peer_sets: vec![SetRef::Slices(set())],
            ..SharedList::default()
        }),
    }
}
