//! Questions that the page asks the engine: why, what if, and what the edges mean under new policies.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde::Serialize;
use sidewall::lint::{self, Given, Input};
use sidewall::manifest::Manifest;
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::Pod;
use sidewall::policy::cluster::{Cluster, Kind};
use sidewall::policy::compile::PodNotFound;
use sidewall::policy::connectivity::{Connectivity, diff};
use sidewall::policy::explain::Explanation;
use sidewall::policy::hints::{Hint, hints};
use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::{End, Reacher};
use sidewall::policy::suggest::{Outside, Suggestion, suggest};

use super::edges::{Key, Prediction, Verdict};
use super::view::node_of;
use super::world::{Snapshot, Written};

/// `/api/v1/why`.
#[derive(Debug, Serialize)]
pub(super) struct Why {
    allowed: bool,
    loopback: bool,
    egress: Vec<Side>,
    ingress: Vec<Side>,
    /// The smallest policies that would allow it, as YAML.
    suggestion: Option<String>,
    hints: Vec<String>,
    /// The same in a terminal.
    command: String,
}

/// What one pod's policies say, in the words of the log.
#[derive(Debug, Serialize)]
struct Side {
    pod: String,
    allowed: bool,
    headline: String,
    lines: Vec<String>,
    summary: String,
}

/// Answers for many edges, each allow list compiled once.
pub(super) struct Predictor<'a> {
    reacher: Reacher<'a>,
    cluster: &'a Cluster,
    /// A pod that lives, by workload.
    living: HashMap<String, &'a Pod>,
}

impl<'a> Predictor<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        let living = cluster.pods().filter(|pod| pod.is_peer());
        Self {
            reacher: Reacher::new(cluster, LookupOptions::default()),
            cluster,
            living: living.map(|pod| (node_of(pod), pod)).collect(),
        }
    }

    /// What an edge's flows would meet now, with another pod of the same workload in the place of one
    /// that is gone; `None`: there is none.
    pub(super) fn ask(
        &mut self,
        key: &Key,
        from: &mut String,
        to: &mut String,
    ) -> Option<Prediction> {
        let protocol = protocol(&key.protocol)?;
        let ends = (self.now(&key.from, from)?, self.now(&key.to, to)?);
        let reach = self
            .reacher
            .reach(&ends.0, &ends.1, protocol, key.port)
            .ok()?;
        let blocked = |explanation: &Explanation| !explanation.allowed();
        let at = if reach.egress.as_ref().is_some_and(blocked) {
            Some(Direction::Egress)
        } else {
            reach
                .ingress
                .iter()
                .any(blocked)
                .then_some(Direction::Ingress)
        };
        let summary = reach
            .decisive()
            .map(|explanation| explanation.summary.clone());
        Some(Prediction {
            verdict: if at.is_some() {
                Verdict::Blocked
            } else {
                Verdict::Allowed
            },
            at,
            summary: summary.unwrap_or_default(),
        })
    }

    /// An end as it is now.
    fn now(&self, node: &str, text: &mut String) -> Option<End> {
        let known = end(text)?;
        if let End::Pod(id) = &known
            && !self.cluster.pod(id).is_some_and(Pod::is_peer)
        {
            let pod = self.living.get(node)?;
            *text = pod.id.to_string();
            return Some(End::Pod(pod.id.clone()));
        }
        Some(known)
    }
}

/// An end as the page names it: `namespace/pod`, or an address.
pub(super) fn end(text: &str) -> Option<End> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(End::Address(address));
    }
    let (namespace, name) = text.split_once('/')?;
    Some(End::Pod(ObjectRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }))
}

/// Why a connection is allowed or blocked.
pub(super) fn why(
    cluster: &Cluster,
    flags: &str,
    (from, to): (&str, &str),
    protocol: Protocol,
    port: u16,
) -> Result<Why, String> {
    let ends = (
        end(from).ok_or_else(|| no_end(from))?,
        end(to).ok_or_else(|| no_end(to))?,
    );
    let mut reacher = Reacher::new(cluster, LookupOptions::default());
    let reach = reacher.reach(&ends.0, &ends.1, protocol, port);
    let reach = reach.map_err(|why| why.to_string())?;
    let lost = |why: PodNotFound| why.to_string();
    let hints = hints(&mut reacher, &reach).map_err(lost)?.into_iter();
    let suggestions = suggest(&mut reacher, &reach, Outside::Address).map_err(lost)?;
    let suggestions: Vec<String> = suggestions.iter().map(Suggestion::yaml).collect();
    let flags = if flags.is_empty() {
        String::new()
    } else {
        format!(" {flags}")
    };
    Ok(Why {
        allowed: reach.allowed(),
        loopback: reach.loopback,
        egress: reach.egress.iter().map(Side::from).collect(),
        ingress: reach.ingress.iter().map(Side::from).collect(),
        suggestion: (!suggestions.is_empty()).then(|| suggestions.join("---\n")),
        hints: hints.map(|hint| spoken(&hint)).collect(),
        command: format!("sidewall why {from} {to} --port {port}/{protocol}{flags}"),
    })
}

/// A protocol as the flow log names it.
fn protocol(name: &str) -> Option<Protocol> {
    serde_json::from_value(name.into()).ok()
}

fn no_end(text: &str) -> String {
    format!("{text:?} is neither namespace/pod nor an address")
}

/// A hint in one paragraph, with what is to be typed.
fn spoken(hint: &Hint) -> String {
    format!("{} {}\n{}", hint.text, hint.remedy, hint.fix)
}

impl From<&Explanation> for Side {
    fn from(explanation: &Explanation) -> Self {
        let text = explanation.to_string();
        let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        // The sentence has a place of its own.
        if lines
            .last()
            .is_some_and(|line| line.trim() == explanation.summary)
        {
            lines.pop();
        }
        Self {
            pod: explanation.pod.to_string(),
            allowed: explanation.allowed(),
            headline: explanation.headline(),
            lines,
            summary: explanation.summary.clone(),
        }
    }
}

/// What lint has to say of the policies.
pub(super) fn findings(
    cluster: &Cluster,
    policies: &BTreeMap<ObjectRef, Written>,
) -> Vec<lint::Finding> {
    let given = policies.iter().map(|(id, policy)| Given {
        kind: Kind::NetworkPolicy,
        id: id.clone(),
        value: policy.value.clone(),
        place: None,
    });
    let given: Vec<Given> = given.collect();
    let input = Input {
        cluster,
        objects: &given,
        mistakes: &[],
        ignored: &[],
        texts: &BTreeMap::new(),
        whole: true,
    };
    lint::check(input).findings
}

/// What would change.
#[derive(Debug, Default, Serialize)]
pub(super) struct Preview {
    gained: Vec<String>,
    lost: Vec<String>,
    remarks: Vec<String>,
}

/// What would change if these policies were applied.
pub(super) fn preview(now: &Snapshot, policies: &[Manifest]) -> Preview {
    let mut after = now.cluster.clone();
    let mut written = now.policies.clone();
    for policy in policies {
        after.apply(policy.object());
        written.insert(policy.id.clone(), Written::new(policy.value.clone()));
    }
    let difference = diff(&Connectivity::of(&now.cluster), &Connectivity::of(&after));
    let mut preview = Preview::default();
    for change in &difference.changes {
        let (from, to) = difference.names(change);
        let ends = format!("{} → {}", from.join(", "), to.join(", "));
        for (connections, lines) in [
            (&change.gained, &mut preview.gained),
            (&change.lost, &mut preview.lost),
        ] {
            if !connections.is_none() {
                lines.push(format!("{ends}: {connections}"));
            }
        }
    }
    let before = findings(&now.cluster, &now.policies);
    let new = findings(&after, &written).into_iter();
    let new = new.filter(|finding| !before.contains(finding));
    preview.remarks = new
        .map(|finding| format!("{} {} {}", finding.rule, finding.message, finding.fix))
        .collect();
    preview
}
