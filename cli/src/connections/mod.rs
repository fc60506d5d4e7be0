//! What `list`, `matrix`, `graph` and `diff` have in common: which connections are wanted, and how
//! they are read. The answer itself is worked out in [`sidewall::policy::connectivity`].

pub(crate) mod page;
pub(crate) mod table;

use std::collections::BTreeSet;

use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::connectivity::{
    Choice, Connectivity, Entries, Group, List, OutsideChoice, Side,
};

use crate::ends::{self, EndKind};
use crate::source::{Source, SourceArgs};
use crate::ui;

/// Workloads of which a picture or a matrix shows each by itself; from more on, those of one
/// namespace that have the same connections share a box. More than this fills a screen.
const EACH: usize = 30;

/// Which cluster, and which of its connections.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Wanted {
    #[command(flatten)]
    source: SourceArgs,
    /// Only connections from or to this namespace; also the namespace of names without one.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only connections from here: a pod, deploy/NAME, namespace:NAME, world, an IP address. May be
    /// repeated.
    #[arg(long, value_name = "FROM")]
    from: Vec<String>,
    /// Only connections to here. May be repeated.
    #[arg(long, value_name = "TO")]
    to: Vec<String>,
}

/// The connections that were asked for.
pub(crate) struct Found {
    pub(crate) list: List,
    /// Pods that can have no connections, and why.
    pub(crate) left_out: Vec<(String, &'static str)>,
    namespace: Option<String>,
    narrowed: bool,
}

impl Wanted {
    /// Reads the cluster and works out its connections. Remarks go to standard error.
    pub(crate) async fn find(&self) -> anyhow::Result<Found> {
        let source = self.source.load().await?;
        for note in &source.notes {
            ui::note(format!("note: {note}"));
        }
        let choices = self.choices(&source)?;
        let connectivity = Connectivity::of(&source.cluster);
        let list = List::of(&connectivity, &choices);
        let left_out: Vec<(String, &str)> = connectivity
            .left_out()
            .iter()
            .map(|out| (out.pod.to_string(), out.why))
            .collect();
        for (pod, why) in &left_out {
            ui::note(format!("note: {pod} is left out: {why}"));
        }
        Ok(Found {
            list,
            left_out,
            namespace: self.namespace.clone(),
            narrowed: self.namespace.is_some() || !self.from.is_empty() || !self.to.is_empty(),
        })
    }

    /// Pairs of what may be on the two sides of a row.
    fn choices(&self, source: &Source) -> anyhow::Result<Vec<(Choice, Choice)>> {
        let named = !self.from.is_empty() || !self.to.is_empty();
        let (from, to) = (
            self.choice(&self.from, source)?,
            self.choice(&self.to, source)?,
        );
        let Some(namespace) = self.namespace.as_deref().filter(|_| !named) else {
            return Ok(vec![(from, to)]);
        };
        let (inside, others): (BTreeSet<&ObjectRef>, BTreeSet<&ObjectRef>) = source
            .cluster
            .pods()
            .map(|pod| &pod.id)
            .partition(|pod| pod.namespace == namespace);
        if inside.is_empty() {
            anyhow::bail!("there are no pods in namespace {namespace}");
        }
        let choice = |pods: BTreeSet<&ObjectRef>, outside| Choice {
            pods: Some(pods.into_iter().cloned().collect()),
            outside,
        };
        let inside = choice(inside, OutsideChoice::Like(Vec::new()));
        let others = choice(others, OutsideChoice::All);
        Ok(vec![(inside.clone(), Choice::ALL), (others, inside)])
    }

    /// What some names stand for; without a name, everything.
    fn choice(&self, names: &[String], source: &Source) -> anyhow::Result<Choice> {
        if names.is_empty() {
            return Ok(Choice::ALL);
        }
        let namespace = self.namespace.as_deref().unwrap_or("default");
        let mut pods = BTreeSet::new();
        let mut outside = Some(Vec::new());
        for name in names {
            for end in ends::parse(name, namespace)?.resolve(source)? {
                match end.kind {
                    EndKind::Pod { pod, .. } => {
                        pods.insert(pod);
                    }
                    EndKind::World => outside = None,
                    EndKind::Address(address) => match source.cluster.pod_at(address) {
                        Some(pod) => {
                            pods.insert(pod.id.clone());
                        }
                        None => outside.iter_mut().for_each(|like| like.push(address)),
                    },
                    EndKind::Service(service) => anyhow::bail!(
                        "policies speak of pods, not of Services: name the workload behind Service \
                         {service}, or ask `sidewall can` about the Service"
                    ),
                }
            }
        }
        Ok(Choice {
            pods: Some(pods),
            outside: outside.map_or(OutsideChoice::All, OutsideChoice::Like),
        })
    }
}

impl Found {
    /// The ends and rows for a picture or a matrix. All workloads are there if nothing was narrowed;
    /// else those that have a connection, and those of the namespace that was asked for.
    pub(crate) fn entries(&self) -> Entries {
        let keep = |group: &Group| match &self.namespace {
            Some(namespace) => group.workload.namespace == *namespace,
            None => !self.narrowed,
        };
        let each = Entries::of(&self.list, false, &keep);
        match each.list.len() > EACH {
            true => Entries::of(&self.list, true, &keep),
            false => each,
        }
    }
}

/// What an entry of a picture or a matrix is called, in one or more lines: its namespace apart, since
/// pictures group by it. None: it is outside.
pub(crate) fn titles(entry: &Side, groups: &[Group]) -> (Option<String>, Vec<String>) {
    /// Ranges that one box spells out.
    const MOST: usize = 4;
    let workloads = entry
        .workloads
        .iter()
        .filter_map(|group| groups.get(*group));
    let mut workloads = workloads.peekable();
    if let Some(first) = workloads.peek() {
        let namespace = first.workload.namespace.clone();
        let prefix = format!("{namespace}/");
        let name = |group: &Group| {
            let label = &group.label;
            label.strip_prefix(&prefix).unwrap_or(label).to_owned()
        };
        return (Some(namespace), workloads.map(name).collect());
    }
    let mut names = entry.names(groups, None);
    if names.len() > MOST {
        let more = names.len() - (MOST - 1);
        names.truncate(MOST - 1);
        names.push(format!("and {more} more ranges"));
    }
    (None, names)
}
