//! Rules as policies: one that isolates each namespace, one for each group of pods.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::groups::{Group, Groups};
use super::rules::{Peer, Port, Ports, Rules};
use super::seen::Seen;
use crate::net::{Direction, Protocol};
use crate::policy::allow_list::{ObjectRef, Selector};
use crate::policy::cluster::Cluster;
use crate::policy::suggest::{PeerDocument, PolicyDocument, PortDocument, RuleDocument};

/// The label that every namespace has (kubernetes `pkg/registry/core/namespace`).
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// A policy, with what led to each of its rules.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommended {
    /// The policy.
    pub policy: PolicyDocument,
    /// Whom it is for.
    pub title: String,
    /// Of each ingress rule.
    pub ingress: Vec<Noted>,
    /// Of each egress rule.
    pub egress: Vec<Noted>,
}

/// What led to a rule.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    /// Whom the rule admits, in words.
    pub peer: String,
    /// Its ports.
    pub ports: Vec<String>,
    /// How often and when.
    pub seen: Seen,
    /// Services through which it was called.
    pub services: Vec<ObjectRef>,
}

impl Noted {
    /// One line.
    #[must_use]
    pub fn comment(&self) -> String {
        let through = match self.services.as_slice() {
            [] => String::new(),
            services => {
                let names: Vec<String> = services.iter().map(ToString::to_string).collect();
                let noun = if names.len() == 1 {
                    "Service"
                } else {
                    "Services"
                };
                format!(", through {noun} {}", names.join(", "))
            }
        };
        format!(
            "{} {}: {}{through}",
            self.peer,
            self.ports.join(", "),
            self.seen
        )
    }
}

impl Recommended {
    /// The policy as YAML, with a comment above each rule.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = format!("# {}\n", self.title);
        let (mut notes, mut indent) = (None, None);
        for line in self.policy.yaml().lines() {
            let spaces = line.len() - line.trim_start().len();
            let is_item = line.trim_start().starts_with("- ");
            if spaces <= 2 && !is_item {
                notes = match line.trim_end() {
                    "  ingress:" => Some(self.ingress.iter()),
                    "  egress:" => Some(self.egress.iter()),
                    _ => None,
                };
                indent = None;
            } else if let (Some(notes), true) = (&mut notes, is_item) {
                // The first item's indentation is that of all rules; deeper lists are peers and ports.
                if *indent.get_or_insert(spaces) == spaces
                    && let Some(note) = notes.next()
                {
                    text.extend(std::iter::repeat_n(' ', spaces));
                    text.push_str(&format!("# {}\n", note.comment()));
                }
            }
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// Writes all policies.
pub(super) fn write(
    cluster: &Cluster,
    wanted: &BTreeSet<String>,
    groups: &Groups<'_>,
    rules: &Rules,
) -> Vec<Recommended> {
    let mut names = Names::new(cluster);
    let mut policies = Vec::new();
    for namespace in wanted {
        policies.push(isolation(namespace, &mut names));
        for (number, group) in groups
            .all()
            .filter(|(_, group)| group.namespace == *namespace)
        {
            let of = |direction| rules.get(&(number, direction));
            let sides = [Direction::Ingress, Direction::Egress].map(|direction| {
                of(direction)
                    .map(|peers| side(peers, group, groups))
                    .unwrap_or_default()
            });
            let [(ingress, ingress_notes), (egress, egress_notes)] = sides;
            if ingress.is_empty() && egress.is_empty() {
                continue;
            }
            let name = names.take(namespace, &group.name);
            policies.push(Recommended {
                policy: PolicyDocument::both(
                    namespace,
                    &name,
                    group.selector.clone(),
                    ingress,
                    egress,
                ),
                title: format!("{} {}/{}", group.kind, group.namespace, group.name),
                ingress: ingress_notes,
                egress: egress_notes,
            });
        }
    }
    policies
}

/// Whatever the namespace's pods did not do is not allowed, to pods that were never seen either.
fn isolation(namespace: &str, names: &mut Names<'_>) -> Recommended {
    let name = names.take(namespace, "default-deny");
    let (selects, none) = (Selector::default(), Vec::new());
    Recommended {
        policy: PolicyDocument::both(namespace, &name, selects, none.clone(), none),
        title: format!("every pod of {namespace}: nothing but what the policies below allow"),
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

/// One rule for each group; addresses with the same ports share one.
fn side(
    peers: &BTreeMap<Peer, Ports>,
    own: &Group,
    groups: &Groups<'_>,
) -> (Vec<RuleDocument>, Vec<Noted>) {
    let mut rules: Vec<(Vec<PeerDocument>, Vec<String>, Ports)> = Vec::new();
    for (peer, ports) in peers {
        let (document, says) = match peer {
            Peer::Group(number) => match groups.get(*number) {
                Some(group) => (
                    pods(group, own),
                    format!("{}/{}", group.namespace, group.name),
                ),
                None => continue,
            },
            Peer::Block(block) => {
                let shared = rules.iter_mut().find(|(_, says, other)| {
                    says.first()
                        .is_some_and(|first| first.parse::<ipnet::IpNet>().is_ok())
                        && other.keys().eq(ports.keys())
                });
                if let Some((documents, says, known)) = shared {
                    documents.push(PeerDocument::block(*block, Vec::new()));
                    says.push(block.to_string());
                    for (key, port) in ports {
                        let entry: &mut Port = known.entry(*key).or_default();
                        entry.seen.merge(&port.seen);
                        entry.services.extend(port.services.iter().cloned());
                    }
                    continue;
                }
                (PeerDocument::block(*block, Vec::new()), block.to_string())
            }
        };
        rules.push((vec![document], vec![says], ports.clone()));
    }
    let note = |says: &[String], ports: &Ports| {
        let mut seen = Seen::default();
        let mut services = BTreeSet::new();
        for port in ports.values() {
            seen.merge(&port.seen);
            services.extend(port.services.iter().cloned());
        }
        let peer = match says {
            [first, second, rest @ ..] if !rest.is_empty() => {
                format!("{first}, {second} and {} more", rest.len())
            }
            few => few.join(", "),
        };
        Noted {
            peer,
            ports: ports.keys().map(|key| in_words(*key)).collect(),
            seen,
            services: services.into_iter().collect(),
        }
    };
    let notes = rules
        .iter()
        .map(|(_, says, ports)| note(says, ports))
        .collect();
    let rules = rules.into_iter().map(|(peers, _, ports)| RuleDocument {
        peers,
        ports: ports
            .keys()
            .map(|(protocol, port)| PortDocument {
                protocol: *protocol,
                port: *port,
            })
            .collect(),
    });
    (rules.collect(), notes)
}

fn in_words((protocol, port): (Protocol, u16)) -> String {
    match port {
        // RFC 1035 §4.2; what else asks there asks for names too.
        53 => format!("{protocol} 53 (DNS)"),
        port => format!("{protocol} {port}"),
    }
}

/// Pods of the own namespace by their labels, of another by its name too.
fn pods(peer: &Group, own: &Group) -> PeerDocument {
    let namespaces = (peer.namespace != own.namespace).then(|| Selector {
        match_labels: [(NAMESPACE_NAME.to_owned(), peer.namespace.clone())].into(),
        match_expressions: Vec::new(),
    });
    PeerDocument::pods(namespaces, peer.selector.clone())
}

/// Names of policies that are free.
struct Names<'a> {
    cluster: &'a Cluster,
    taken: BTreeSet<ObjectRef>,
}

impl<'a> Names<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            taken: BTreeSet::new(),
        }
    }

    /// The wanted name, or one like it. A policy that exists is never written over.
    fn take(&mut self, namespace: &str, wanted: &str) -> String {
        let exists = |id: &ObjectRef| {
            self.cluster
                .policies_in(namespace)
                .any(|policy| policy.id() == id)
        };
        let candidates =
            std::iter::once(wanted.to_owned()).chain((1_u32..).map(|number| match number {
                1 => format!("{wanted}-recommended"),
                number => format!("{wanted}-recommended-{number}"),
            }));
        let ids = candidates.map(|name| ObjectRef {
            namespace: namespace.to_owned(),
            name,
        });
        let free = ids
            .into_iter()
            .find(|id| !self.taken.contains(id) && !exists(id));
        let name = free
            .as_ref()
            .map_or_else(|| wanted.to_owned(), |id| id.name.clone());
        self.taken.extend(free);
        name
    }
}
