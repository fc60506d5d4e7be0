//! What was seen, in a few lines on stderr: how many flows, what blocked, and the command that
//! explains each of the worst pairs.

use std::collections::BTreeMap;

use sidewall::flows::{Flow, Kind, Line, Verdict};
use sidewall::net::{Direction, Protocol};

use super::print::short_name;
use crate::ui;

/// Pairs that are named.
const PAIRS: usize = 5;
/// Pairs that are remembered: a port scan makes more, and then only the number of blocks is right.
const MOST: usize = 10_000;

/// Counts of what was shown.
pub(super) struct Summary {
    /// Flags that the printed commands need too.
    flags: String,
    lines: u64,
    hidden: u64,
    allowed: u64,
    audited: u64,
    blocked: u64,
    ended: u64,
    lost: u64,
    reasons: BTreeMap<String, u64>,
    pairs: BTreeMap<Pair, Tried>,
    pairs_left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    /// As shown: the workload of a pod.
    shown: (String, String),
    protocol: Option<Protocol>,
    port: u16,
}

struct Tried {
    times: u64,
    /// The ends as typed: one pod of each workload.
    typed: (String, String),
}

impl Summary {
    pub(super) fn new(flags: String) -> Self {
        Self {
            flags,
            lines: 0,
            hidden: 0,
            allowed: 0,
            audited: 0,
            blocked: 0,
            ended: 0,
            lost: 0,
            reasons: BTreeMap::new(),
            pairs: BTreeMap::new(),
            pairs_left_out: 0,
        }
    }

    /// A line that filters left out.
    pub(super) fn hidden(&mut self) {
        self.hidden += 1;
    }

    /// A line that is shown.
    pub(super) fn count(&mut self, line: &Line) {
        self.lines += 1;
        self.lost += line
            .lost_events
            .as_ref()
            .map_or(0, |lost| lost.num_events_lost);
        let Some(flow) = &line.flow else {
            return;
        };
        let own = line.sidewall.as_ref();
        let times = own.and_then(|own| own.repeats).unwrap_or(1);
        if own.is_some_and(|own| own.kind == Kind::End) {
            self.ended += 1;
            return;
        }
        match flow.verdict {
            Verdict::Dropped | Verdict::Error => {
                self.blocked += times;
                let reason = own
                    .map(|own| own.verdict.clone())
                    .filter(|name| !name.is_empty());
                let reason = reason.unwrap_or_else(|| flow.drop_reason_desc.clone());
                *self.reasons.entry(reason).or_default() += times;
                self.pair(flow, times);
            }
            Verdict::Audit => {
                self.audited += times;
                self.pair(flow, times);
            }
            _ => self.allowed += times,
        }
    }

    fn pair(&mut self, flow: &Flow, times: u64) {
        let (protocol, port) = flow.called();
        let pair = Pair {
            shown: (
                workload(flow, Direction::Egress),
                workload(flow, Direction::Ingress),
            ),
            protocol,
            port,
        };
        if let Some(tried) = self.pairs.get_mut(&pair) {
            tried.times += times;
        } else if self.pairs.len() < MOST {
            let typed = (
                typed(flow, Direction::Egress),
                typed(flow, Direction::Ingress),
            );
            self.pairs.insert(pair, Tried { times, typed });
        } else {
            self.pairs_left_out += times;
        }
    }

    /// Says it.
    pub(super) fn tell(&self) {
        let flows = self.allowed + self.blocked + self.audited;
        let mut parts = vec![
            ui::paint(ui::GOOD, format!("{} allowed", self.allowed)),
            ui::paint(ui::BAD, format!("{} blocked", self.blocked)),
        ];
        if self.audited > 0 {
            parts.push(ui::paint(ui::WARN, format!("{} audited", self.audited)));
        }
        let ended = match self.ended {
            0 => String::new(),
            ended => format!("; {ended} ended"),
        };
        let hidden = match self.hidden {
            0 => String::new(),
            hidden => format!("; {hidden} lines not asked for"),
        };
        let noun = if flows == 1 { "flow" } else { "flows" };
        ui::note(format!(
            "{} {}{}",
            ui::paint(ui::TITLE, format!("{flows} {noun}:")),
            parts.join(", "),
            ui::paint(ui::FAINT, format!("{ended}{hidden}")),
        ));
        if self.lost > 0 {
            let text = format!("{} lines were lost before they were written", self.lost);
            ui::note(ui::paint(ui::WARN, text));
        }
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        if !reasons.is_empty() {
            ui::note(format!("blocked because: {}", reasons.join(", ")));
        }
        self.tell_pairs();
    }

    fn tell_pairs(&self) {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by_key(|(_, tried)| std::cmp::Reverse(tried.times));
        for (pair, Tried { times, typed }) in pairs.iter().take(PAIRS) {
            let protocol = pair
                .protocol
                .map_or_else(|| "IP".to_owned(), |protocol| protocol.to_string());
            let has_ports = pair.protocol.is_some_and(Protocol::has_ports);
            let (called, port) = if has_ports {
                (
                    format!("{protocol} {}", pair.port),
                    format!(" --port {}/{protocol}", pair.port),
                )
            } else {
                (protocol, String::new())
            };
            let (from, to) = &pair.shown;
            ui::note(format!("  {times:>5}× {from} → {to} {called}"));
            if has_ports && !typed.0.is_empty() && !typed.1.is_empty() {
                let (from, to) = typed;
                let command = format!("sidewall why {from} {to}{port}{}", self.flags);
                ui::note(format!("         {}", ui::paint(ui::COMMAND, command)));
            }
        }
        let more = pairs.len().saturating_sub(PAIRS);
        if more > 0 {
            ui::note(ui::paint(ui::FAINT, format!("  … and {more} more pairs")));
        }
        if self.pairs_left_out > 0 {
            let text = format!(
                "  … and {} blocks of pairs too many to remember",
                self.pairs_left_out
            );
            ui::note(ui::paint(ui::FAINT, text));
        }
    }
}

/// The workload of a pod, else the end's name.
fn workload(flow: &Flow, end: Direction) -> String {
    let endpoint = match end {
        Direction::Egress => &flow.source,
        Direction::Ingress => &flow.destination,
    };
    match endpoint.workloads.first() {
        Some(workload) => format!("{}/{}", endpoint.namespace, workload.name),
        None => short_name(flow, end),
    }
}

/// The end as `sidewall why` takes it.
fn typed(flow: &Flow, end: Direction) -> String {
    let service = match end {
        Direction::Ingress => flow.destination_service.as_ref(),
        Direction::Egress => None,
    };
    match service {
        Some(service) => format!("{}/svc/{}", service.namespace, service.name),
        None => short_name(flow, end),
    }
}
