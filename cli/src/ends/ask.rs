//! A question as it is typed, `FROM TO --port PORT`, and what the engine says to each of the
//! connections that it stands for. `can` and `why` both ask here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::objects::Pod;
use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::{Reach, Reacher};

use super::{End, EndKind, parse, ports, reach};
use crate::port::Port;
use crate::source::{ContainerPort, Source, SourceArgs};

/// Connections that one question may stand for. Each takes a fraction of a millisecond.
const MOST_CONNECTIONS: usize = 20_000;

/// The arguments of a question.
#[derive(Debug, clap::Args)]
pub(crate) struct QuestionArgs {
    /// Who connects: NAMESPACE/POD, deploy/NAME, NAMESPACE/deploy/NAME, namespace:NAME, world, an IP
    /// address.
    pub(crate) from: String,
    /// Whom it connects to: the same, or svc/NAME, NAMESPACE/svc/NAME.
    pub(crate) to: String,
    /// The port it connects to, of the Service if TO is one: 5432, 53/UDP, or a name. Without it,
    /// every port that TO is known to have.
    #[arg(long, short, value_name = "PORT[/PROTOCOL]")]
    pub(crate) port: Option<Port>,
    /// The namespace of names that have none.
    #[arg(long, short, default_value = "default")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The source. It stands for all pods that are equal to it.
    pub(crate) from: Like,
    /// The destination.
    pub(crate) to: Like,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) reach: Reach,
}

/// An end, and how many more are its equals in everything that policies can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Like {
    pub(crate) end: End,
    pub(crate) more: usize,
}

impl Answer {
    pub(crate) fn allowed(&self) -> bool {
        self.reach.allowed()
    }
}

impl QuestionArgs {
    /// Answers every connection that the question stands for: at least one. Connections that cannot be
    /// (a pod without an address) are told in the second list.
    pub(crate) fn ask(&self, source: &Source) -> anyhow::Result<(Vec<Answer>, Vec<String>)> {
        let mut mistakes = Vec::new();
        let mut end = |typed: &str| {
            let found = parse(typed, &self.namespace).map_err(anyhow::Error::from);
            let found = found.and_then(|name| name.resolve(source).map_err(Into::into));
            found.unwrap_or_else(|why| {
                mistakes.push(format!("{why:#}"));
                Vec::new()
            })
        };
        let (from, to) = (end(&self.from), end(&self.to));
        if !mistakes.is_empty() {
            bail!("{}", mistakes.join("\n"));
        }
        let cluster = &source.cluster;
        let (from, to) = (distinct(from, source), distinct(to, source));
        let to = self.with_ports(to, source)?;
        let total = from.len() * to.iter().map(|(_, ports)| ports.len()).sum::<usize>();
        if total > MOST_CONNECTIONS {
            bail!(
                "this question stands for {total} connections, more than {MOST_CONNECTIONS}: ask about fewer pods"
            );
        }
        let mut reacher = Reacher::new(cluster, LookupOptions::default());
        let (mut answers, mut left_out) = (Vec::new(), Vec::new());
        for (from, (to, ports)) in pairs(&from, &to) {
            if from.end == to.end && from.end.pod().is_some() && total > 1 {
                continue;
            }
            for &(protocol, port) in ports {
                match reach(&mut reacher, &from.end, &to.end, protocol, port) {
                    Ok(reach) => answers.push(Answer {
                        from: from.clone(),
                        to: to.clone(),
                        protocol,
                        port,
                        reach,
                    }),
                    Err(why) => left_out.push(why.to_string()),
                }
            }
        }
        left_out.sort_unstable();
        left_out.dedup();
        if answers.is_empty() {
            bail!("{}", left_out.join("\n"));
        }
        Ok((answers, left_out))
    }

    /// The ports that are asked for at each destination.
    fn with_ports(&self, to: Vec<Like>, source: &Source) -> anyhow::Result<Vec<Asked>> {
        let all: Vec<Asked> = to
            .into_iter()
            .map(|to| {
                let ports = ports::asked(&to.end, self.port.as_ref(), source);
                (to, ports)
            })
            .collect();
        let (known, unknown): (Vec<Asked>, Vec<Asked>) =
            all.into_iter().partition(|(_, ports)| !ports.is_empty());
        if !known.is_empty() {
            return Ok(known);
        }
        let first = unknown.first().map(|(to, _)| to.end.clone());
        let to = first.context("nobody to connect to")?;
        bail!("{}", ports::none(&to, self.port.as_ref(), source))
    }
}

/// A destination with the ports that are asked for.
type Asked = (Like, BTreeSet<(Protocol, u16)>);

fn pairs<'a>(from: &'a [Like], to: &'a [Asked]) -> impl Iterator<Item = (&'a Like, &'a Asked)> {
    from.iter()
        .flat_map(move |from| to.iter().map(move |to| (from, to)))
}

/// What policies can ask of a pod, and what an answer shows of it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Traits {
    workload: Option<String>,
    namespace: String,
    labels: Vec<(String, String)>,
    ports: Vec<ContainerPort>,
    nature: [bool; 4],
    node: Option<String>,
    /// Which of the cluster's ipBlocks hold it.
    blocks: Vec<bool>,
}

/// Ends of which no two are alike.
fn distinct(ends: Vec<End>, source: &Source) -> Vec<Like> {
    let cluster = &source.cluster;
    let blocks = super::world::blocks(cluster);
    let traits = |pod: &Pod, workload: &Option<String>| Traits {
        workload: workload.clone(),
        namespace: pod.id.namespace.clone(),
        labels: pod
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        ports: source.ports(&pod.id),
        nature: [
            pod.finished,
            pod.host_network,
            pod.addresses.iter().any(std::net::IpAddr::is_ipv4),
            pod.addresses.iter().any(std::net::IpAddr::is_ipv6),
        ],
        node: pod.node.clone(),
        blocks: blocks
            .iter()
            .map(|block| pod.addresses.iter().any(|address| block.contains(address)))
            .collect(),
    };
    let mut seen: BTreeMap<Traits, usize> = BTreeMap::new();
    let mut distinct: Vec<Like> = Vec::new();
    for end in ends {
        if let EndKind::Pod {
            pod,
            workload: workload @ Some(_),
        } = &end.kind
            && let Some(pod) = cluster.pod(pod)
        {
            let at = *seen.entry(traits(pod, workload)).or_insert(distinct.len());
            if let Some(like) = distinct.get_mut(at) {
                like.more += 1;
                continue;
            }
        }
        distinct.push(Like { end, more: 0 });
    }
    distinct
}

impl std::fmt::Display for Like {
    /// `shop/web`; of several equal pods their workload and their number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.end.kind, self.more) {
            (
                EndKind::Pod {
                    workload: Some(of), ..
                },
                1..,
            ) => {
                write!(f, "{of} ({} pods)", self.more + 1)
            }
            _ => self.end.fmt(f),
        }
    }
}

/// The pod of an explanation, in its own words.
pub(crate) fn within(pod: &ObjectRef, other: &ObjectRef) -> String {
    if pod.namespace == other.namespace {
        other.name.clone()
    } else {
        other.to_string()
    }
}
