//! A list as boxes and lines between them.

use std::collections::BTreeSet;

use crate::connections::{Found, titles};

/// What is drawn.
pub(super) struct Model {
    /// By namespace; what is outside, and connections that lead from one frame to another, have none.
    pub(super) nodes: Vec<Node>,
    /// The namespaces, by name.
    pub(super) frames: Vec<String>,
    pub(super) lines: Vec<Line>,
}

/// A box.
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) text: Vec<String>,
    /// Position in [`Model::frames`].
    pub(super) frame: Option<usize>,
}

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// Workloads.
    Workloads,
    /// Addresses outside.
    Outside,
    /// A row of the list: all connections, or some.
    All,
    Some,
}

/// A line from one box to another, which leads back too if `both`.
pub(super) struct Line {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) both: bool,
}

impl Model {
    pub(super) fn of(found: &Found) -> Self {
        let (list, entries) = (&found.list, found.entries());
        let mut model = Self {
            nodes: Vec::new(),
            frames: Vec::new(),
            lines: Vec::new(),
        };
        for entry in &entries.list {
            let (namespace, text) = titles(entry, &list.workloads);
            let kind = match namespace {
                Some(_) => NodeKind::Workloads,
                None => NodeKind::Outside,
            };
            let frame = namespace.map(|namespace| model.frame(namespace));
            model.nodes.push(Node { kind, text, frame });
        }
        for (row, (sources, targets)) in list.rows.iter().zip(&entries.rows) {
            let ends: BTreeSet<usize> = sources.iter().chain(targets).copied().collect();
            let frames: BTreeSet<Option<usize>> =
                ends.iter().map(|end| model.nodes[*end].frame).collect();
            let here = model.nodes.len();
            model.nodes.push(Node {
                kind: match row.allowed.is_all() {
                    true => NodeKind::All,
                    false => NodeKind::Some,
                },
                text: vec![row.allowed.to_string()],
                // Within one namespace it is drawn inside its frame.
                frame: match frames.len() {
                    1 => frames.into_iter().next().flatten(),
                    _ => None,
                },
            });
            for end in ends {
                let (is_source, is_target) = (sources.contains(&end), targets.contains(&end));
                let (from, to) = if is_source { (end, here) } else { (here, end) };
                let both = is_source && is_target;
                model.lines.push(Line { from, to, both });
            }
        }
        model
    }

    fn frame(&mut self, namespace: String) -> usize {
        let known = self.frames.iter().position(|frame| *frame == namespace);
        known.unwrap_or_else(|| {
            self.frames.push(namespace);
            self.frames.len() - 1
        })
    }
}
