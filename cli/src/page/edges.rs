//! Flows added up: one edge per pair of workloads, protocol and port, with the latest verdict of each
//! of its ends, a count and a rate. Bounded; pure, so that time comes in.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use serde::Serialize;
use sidewall::net::Direction;

use super::line::Row;

/// Edges kept; the longest silent goes first. A picture with more could not be read.
const MOST: usize = 2_000;
/// Seconds over which a rate is taken.
const WINDOW: usize = 10;
/// Seconds after its last flow for which an edge of a workload that is gone stays: long enough to look
/// at what a finished Job did, short enough that they do not fill the picture.
const GONE: u64 = 600;

/// What came of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Allowed,
    Blocked,
    /// It would have been blocked.
    Audit,
}

/// What makes an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) protocol: String,
    pub(super) port: u16,
}

impl Key {
    pub(super) fn id(&self) -> String {
        let Self {
            from,
            to,
            protocol,
            port,
        } = self;
        format!("{from}>{to}>{protocol}>{port}")
    }
}

/// An edge as the page draws it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Edge {
    pub(super) id: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) protocol: String,
    pub(super) port: u16,
    pub(super) verdict: Verdict,
    /// Where it was stopped.
    pub(super) at: Option<Direction>,
    /// Flows so far; 0: the edge is no more.
    pub(super) count: u64,
    /// New flows a second.
    pub(super) rate: f64,
    pub(super) predicted: bool,
    pub(super) summary: String,
    pub(super) from_end: String,
    pub(super) to_end: String,
}

/// What the engine says of an edge under new policies.
pub(super) struct Prediction {
    pub(super) verdict: Verdict,
    pub(super) at: Option<Direction>,
    pub(super) summary: String,
}

/// All edges.
#[derive(Default)]
pub(super) struct Edges {
    known: HashMap<Key, Flows, RandomState>,
    changed: HashSet<Key, RandomState>,
    gone: Vec<Key>,
}

/// The flows of one edge.
struct Flows {
    egress: Option<(Verdict, String)>,
    ingress: Option<(Verdict, String)>,
    predicted: Option<Prediction>,
    count: u64,
    /// New flows in each of the last seconds, the present one at `second % WINDOW`.
    recent: [u32; WINDOW],
    last: u64,
    /// An end is no pod of the cluster any more.
    gone: bool,
    from_end: String,
    to_end: String,
}

impl Edges {
    /// Adds a row. `second` counts from any beginning and never falls.
    pub(super) fn add(&mut self, row: &Row, second: u64) {
        if !self.known.contains_key(&row.key) && self.known.len() == MOST {
            self.evict();
        }
        let flows = self.known.entry(row.key.clone()).or_insert_with(|| Flows {
            egress: None,
            ingress: None,
            predicted: None,
            count: 0,
            recent: [0; WINDOW],
            last: second,
            gone: false,
            from_end: row.from_end.clone(),
            to_end: row.to_end.clone(),
        });
        if row.end {
            return;
        }
        let judged = Some((row.verdict, row.summary.clone()));
        // Both ends report a flow that passes; it counts where it began to be seen.
        let (counts, side) = match row.direction {
            Direction::Egress => (true, &mut flows.egress),
            Direction::Ingress => (flows.egress.is_none(), &mut flows.ingress),
        };
        *side = judged;
        flows.predicted = None;
        flows.from_end.clone_from(&row.from_end);
        flows.to_end.clone_from(&row.to_end);
        flows.last = second;
        if counts {
            flows.count += row.flows;
            let now = &mut flows.recent[slot(second)];
            *now = now.saturating_add(u32::try_from(row.flows).unwrap_or(u32::MAX));
        } else {
            flows.count = flows.count.max(1);
        }
        self.changed.insert(row.key.clone());
    }

    /// A second has begun: the rates of those with recent flows fall, and what is long gone goes.
    pub(super) fn tick(&mut self, second: u64) {
        let mut gone = Vec::new();
        for (key, flows) in &mut self.known {
            if flows.gone && second.saturating_sub(flows.last) > GONE {
                gone.push(key.clone());
            }
            if flows.recent.iter().any(|count| *count > 0) {
                flows.recent[slot(second)] = 0;
                self.changed.insert(key.clone());
            }
        }
        for key in gone {
            self.remove(&key);
        }
    }

    /// The cluster changed: asks for every edge what it means for it now. The answer may put a pod that
    /// lives in the place of an end that is gone; `None`: there is none, and the edge is as it was seen.
    pub(super) fn reconsider(
        &mut self,
        mut ask: impl FnMut(&Key, &mut String, &mut String) -> Option<Prediction>,
    ) {
        for (key, flows) in &mut self.known {
            let now = ask(key, &mut flows.from_end, &mut flows.to_end);
            flows.gone = now.is_none();
            let Some(now) = now else {
                if flows.predicted.take().is_some() {
                    self.changed.insert(key.clone());
                }
                continue;
            };
            let (verdict, at, _) = flows.seen();
            let differs = (verdict, at) != (now.verdict, now.at);
            // In audit mode a flow that would be blocked passes.
            let audited = verdict == Verdict::Audit && now.verdict == Verdict::Blocked;
            let before = flows.predicted.is_some();
            flows.predicted = (differs && !audited).then_some(now);
            if before || flows.predicted.is_some() {
                self.changed.insert(key.clone());
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        let keys: Vec<Key> = self.known.keys().cloned().collect();
        for key in keys {
            self.remove(&key);
        }
    }

    /// Every edge.
    pub(super) fn all(&self) -> Vec<Edge> {
        let edges = self.known.iter().map(|(key, flows)| flows.edge(key));
        edges.collect()
    }

    /// The edges that changed since this was last asked.
    pub(super) fn changed(&mut self) -> Vec<Edge> {
        let mut edges: Vec<Edge> = self.gone.drain(..).map(|key| removed(&key)).collect();
        for key in self.changed.drain() {
            if let Some(flows) = self.known.get(&key) {
                edges.push(flows.edge(&key));
            }
        }
        edges
    }

    fn evict(&mut self) {
        let oldest = self.known.iter().min_by_key(|(_, flows)| flows.last);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        self.known.remove(key);
        self.changed.remove(key);
        self.gone.push(key.clone());
    }
}

impl Flows {
    /// The verdict as seen: of two ends the one that stops it.
    fn seen(&self) -> (Verdict, Option<Direction>, &str) {
        let sides = [
            (&self.egress, Direction::Egress),
            (&self.ingress, Direction::Ingress),
        ];
        for wanted in [Verdict::Blocked, Verdict::Audit] {
            for (side, direction) in sides {
                if let Some((verdict, summary)) = side
                    && *verdict == wanted
                {
                    return (wanted, Some(direction), summary);
                }
            }
        }
        let last = self.ingress.as_ref().or(self.egress.as_ref());
        let summary = last.map_or("", |(_, summary)| summary.as_str());
        (Verdict::Allowed, None, summary)
    }

    fn edge(&self, key: &Key) -> Edge {
        let (verdict, at, summary) = match &self.predicted {
            Some(now) => (now.verdict, now.at, now.summary.as_str()),
            None => self.seen(),
        };
        let recent: u64 = self.recent.iter().map(|count| u64::from(*count)).sum();
        Edge {
            id: key.id(),
            from: key.from.clone(),
            to: key.to.clone(),
            protocol: key.protocol.clone(),
            port: key.port,
            verdict,
            at,
            count: self.count,
            rate: recent as f64 / WINDOW as f64,
            predicted: self.predicted.is_some(),
            summary: summary.to_owned(),
            from_end: self.from_end.clone(),
            to_end: self.to_end.clone(),
        }
    }
}

fn removed(key: &Key) -> Edge {
    Edge {
        id: key.id(),
        from: key.from.clone(),
        to: key.to.clone(),
        protocol: key.protocol.clone(),
        port: key.port,
        verdict: Verdict::Allowed,
        at: None,
        count: 0,
        rate: 0.0,
        predicted: false,
        summary: String::new(),
        from_end: String::new(),
        to_end: String::new(),
    }
}

fn slot(second: u64) -> usize {
    usize::try_from(second % WINDOW as u64).unwrap_or(0)
}
