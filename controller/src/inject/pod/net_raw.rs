//! Takes the capability NET_RAW from the app's containers, and looks for containers that could
//! take the filters away.
//!
//! A packet socket with PACKET_QDISC_BYPASS sends past the hooks on eth0 (linux
//! net/packet/af_packet.c), and needs NET_RAW, which container runtimes give by default.

use super::undo::Undo;
use crate::inject::CONTAINER;
use crate::inject::tree::Node;

const LISTS: [&str; 2] = ["initContainers", "containers"];

/// Makes every container but the sidecar drop NET_RAW.
pub(super) fn drop_everywhere(pod: &mut Node, undo: &mut Undo) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    for list in LISTS {
        let holders: Vec<(String, bool)> = containers(pod, list)
            .filter(|container| !drops_net_raw(container))
            .filter_map(|container| {
                let asked_for = has(container, "add", &["NET_RAW", "ALL"]);
                Some((container.get("name")?.as_str()?.to_owned(), asked_for))
            })
            .collect();
        for (name, asked_for) in holders {
            if asked_for {
                refused.push(format!(
                    "container {name} adds NET_RAW, which drop-net-raw takes away: choose one"
                ));
                continue;
            }
            let path = format!("/spec/{list}/{name}/securityContext/capabilities/drop");
            undo.list(pod, &path)?.push("NET_RAW".into());
            undo.got_net_raw(path);
        }
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused)
    }
}

/// Whether no container but the sidecar has NET_RAW by default.
pub(super) fn is_dropped_everywhere(pod: &Node) -> bool {
    let mut all = LISTS.into_iter().flat_map(|list| containers(pod, list));
    all.all(drops_net_raw)
}

/// What the author of an injected pod should know: containers that could remove the filters.
#[must_use]
pub fn warnings(pod: &Node) -> Vec<String> {
    let all = LISTS.into_iter().flat_map(|list| containers(pod, list));
    let warned = all.filter_map(|container| {
        let name = container.get("name")?.as_str()?;
        let privileged = container.at(&["securityContext", "privileged"]);
        if privileged.is_some_and(Node::is_true) {
            Some(format!(
                "sidewall: container {name} is privileged: it can remove the pod's filters"
            ))
        } else if has(container, "add", &["NET_ADMIN", "SYS_ADMIN", "ALL"]) {
            Some(format!(
                "sidewall: container {name} has NET_ADMIN or SYS_ADMIN: it can remove the pod's filters"
            ))
        } else {
            None
        }
    });
    warned.collect()
}

fn containers<'a>(pod: &'a Node, list: &str) -> impl Iterator<Item = &'a Node> {
    let items = pod.at(&["spec", list]).map_or(&[][..], Node::items);
    let ours = |item: &&Node| item.get("name").and_then(Node::as_str) != Some(CONTAINER);
    items.iter().filter(ours)
}

fn drops_net_raw(container: &Node) -> bool {
    has(container, "drop", &["NET_RAW", "ALL"]) && !has(container, "add", &["NET_RAW", "ALL"])
}

/// Whether a list of capabilities has one of these, with or without CAP_ in front, in any case:
/// container runtimes read them so.
fn has(container: &Node, list: &str, names: &[&str]) -> bool {
    let capabilities = container.at(&["securityContext", "capabilities", list]);
    let items = capabilities.map_or(&[][..], Node::items);
    let mut texts = items.iter().filter_map(Node::as_str);
    texts.any(|text| {
        let upper = text.to_ascii_uppercase();
        names.contains(&upper.strip_prefix("CAP_").unwrap_or(&upper))
    })
}
