//! Puts the sidecar into a pod, and takes it out again so that nothing of it stays.
//!
//! What was made on the way is written down in the annotation `sidewall.dev/status`, so that
//! taking out needs no guessing: a list that was not there is not there afterwards, one that was
//! empty is empty. Not here: what the container says ([`super::sidecar`]).

use super::CONTAINER;
use super::sidecar::Sidecar;
use super::tree::Node;

mod net_raw;
mod undo;

pub use net_raw::warnings;
use undo::{Status, Undo};

/// The annotation that says how the pod was injected.
pub const STATUS: &str = "sidewall.dev/status";

/// The label that injected pods carry, to be listed and scraped by.
pub const INJECTED: &str = "sidewall.dev/injected";

/// What was done to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The sidecar was added.
    Added,
    /// A sidecar of another configuration was replaced.
    Replaced,
    /// The sidecar was there, and was moved back to the front.
    Moved,
}

impl Change {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Change::Added => "added",
            Change::Replaced => "replaced",
            Change::Moved => "moved",
        }
    }
}

/// Whether there was anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Nothing.
    AsItWas,
    /// This.
    Changed(Change),
}

/// Puts the sidecar in front of all init containers of a pod.
///
/// # Errors
/// Everything in the pod that stands in the way; the pod is then half changed and not to be used.
pub fn put_in(pod: &mut Node, sidecar: &Sidecar) -> Result<Placed, Vec<String>> {
    let mistakes = in_the_way(pod);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let hash = sidecar.hash();
    let status = Status::of(pod);
    if status.as_ref().is_some_and(|status| status.hash == hash) && is_whole(pod, sidecar) {
        return Ok(move_to_front(pod));
    }
    let change = if take_out(pod) {
        Change::Replaced
    } else {
        Change::Added
    };
    let mut undo = Undo::default();
    if sidecar.drop_net_raw {
        net_raw::drop_everywhere(pod, &mut undo)?;
    }
    let first = undo.list(pod, "/spec/initContainers")?;
    first.insert(0, sidecar.container.clone());
    let volumes = undo.list(pod, "/spec/volumes")?;
    volumes.extend(sidecar.volumes.iter().cloned());
    undo.map(pod, "/metadata/labels")?
        .set(INJECTED, "true".into());
    undo.map(pod, "/metadata/annotations")?;
    let status = Status::new(hash, undo);
    if let Some(Node::Map(annotations)) = pod.at_mut(&["metadata", "annotations"]) {
        annotations.set(STATUS, status.to_text().into());
    }
    Ok(Placed::Changed(change))
}

/// Takes the sidecar and everything that came with it out of a pod, and says whether there was
/// anything. What others changed since stays.
pub fn take_out(pod: &mut Node) -> bool {
    let Some(status) = Status::of(pod) else {
        return false;
    };
    let named = |item: &Node, names: &[&str]| {
        let name = item.get("name").and_then(Node::as_str);
        name.is_some_and(|name| names.contains(&name))
    };
    if let Some(Node::List(items)) = pod.at_mut(&["spec", "initContainers"]) {
        items.retain(|item| !named(item, &[CONTAINER]));
    }
    if let Some(Node::List(items)) = pod.at_mut(&["spec", "volumes"]) {
        items.retain(|item| !named(item, &VOLUMES));
    }
    for (map, key) in [("annotations", STATUS), ("labels", INJECTED)] {
        if let Some(Node::Map(map)) = pod.at_mut(&["metadata", map]) {
            map.remove(key);
        }
    }
    status.undo.apply(pod);
    true
}

const VOLUMES: [&str; 3] = [
    super::sidecar::TUN_VOLUME,
    super::sidecar::TOKEN_VOLUME,
    super::sidecar::CACHE_VOLUME,
];

/// Names that are ours but were given by someone else. Our own are known by the status.
fn in_the_way(pod: &Node) -> Vec<String> {
    let ours = Status::of(pod).is_some();
    let mut mistakes = Vec::new();
    let lists: [(&str, &str, &[&str], bool); 4] = [
        ("containers", "container", &[CONTAINER], false),
        ("ephemeralContainers", "container", &[CONTAINER], false),
        ("initContainers", "init container", &[CONTAINER], ours),
        ("volumes", "volume", &VOLUMES, ours),
    ];
    for (list, kind, names, ours) in lists {
        let items = pod.at(&["spec", list]).map_or(&[][..], Node::items);
        let found = items
            .iter()
            .filter_map(|item| item.get("name")?.as_str())
            .filter(|name| names.contains(name) && !ours);
        mistakes.extend(found.map(|name| {
            format!("the pod has a {kind} named {name} of its own: that name is the sidecar's")
        }));
    }
    mistakes
}

/// Whether the sidecar in the pod still says all that it should. Its resources are not looked at:
/// the vertical pod autoscaler changes them, and the API server spells quantities its own way.
fn is_whole(pod: &Node, sidecar: &Sidecar) -> bool {
    let mut wanted = sidecar.container.clone();
    if let Node::Map(map) = &mut wanted {
        map.remove("resources");
    }
    let containers = pod.at(&["spec", "initContainers"]);
    let volumes = pod.at(&["spec", "volumes"]);
    let container_there = containers.is_some_and(|list| list.covers(&vec![wanted].into()));
    let volumes_there =
        volumes.is_some_and(|list| list.covers(&Node::List(sidecar.volumes.clone())));
    let net_raw_gone = !sidecar.drop_net_raw || net_raw::is_dropped_everywhere(pod);
    container_there && volumes_there && net_raw_gone
}

fn move_to_front(pod: &mut Node) -> Placed {
    let Some(Node::List(items)) = pod.at_mut(&["spec", "initContainers"]) else {
        return Placed::AsItWas;
    };
    let ours = |item: &Node| item.get("name").and_then(Node::as_str) == Some(CONTAINER);
    match items.iter().position(ours) {
        None | Some(0) => Placed::AsItWas,
        Some(position) => {
            items[..=position].rotate_right(1);
            Placed::Changed(Change::Moved)
        }
    }
}
