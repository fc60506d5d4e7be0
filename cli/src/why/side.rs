//! One end of a connection as lines: who isolates the pod, and each rule with its criteria.

use sidewall::net::Direction;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::explain::{
    Explanation, Part, PeerCheck, PeerOutcome, PortCheck, RuleCheck, ServiceCheck,
};
use sidewall::policy::reach;
use sidewall::verdict::{Because, Verdict};

use super::columns::Line;
use crate::ends::ask::{Answer, within};
use crate::ends::{End, EndKind};
use crate::ui;

/// Rules that are spelled out; the nearest miss is among them.
const MOST_RULES: usize = 6;
/// Entries of `from`, `to` and `ports` that are spelled out.
const MOST_ENTRIES: usize = 6;
/// Endpoints of a Service that are named.
const MOST_ENDPOINTS: usize = 4;
/// Policies that are named as isolating.
const MOST_POLICIES: usize = 8;

/// What the source's policies say.
pub(super) fn egress(answer: &Answer) -> Vec<Line> {
    match &answer.reach.egress {
        Some(explanation) => side(explanation),
        None => nobody(Direction::Egress, &answer.from.end),
    }
}

/// What the destination's policies say: of several endpoints, the first that blocks.
pub(super) fn ingress(answer: &Answer) -> Vec<Line> {
    let all = &answer.reach.ingress;
    let first = all.iter().find(|one| !one.allowed()).or(all.first());
    let Some(first) = first else {
        return nobody(Direction::Ingress, &answer.to.end);
    };
    let mut lines = side(first);
    if all.len() > 1 {
        let blocked = all.iter().filter(|one| !one.allowed()).count();
        let text = match blocked {
            0 => format!("the same at all {} pods behind the Service", all.len()),
            blocked => format!(
                "{blocked} of {} pods behind the Service block it",
                all.len()
            ),
        };
        lines.push(Line::marked(1, blocked == 0, text));
    }
    lines
}

/// An end that is no pod with a network of its own.
fn nobody(direction: Direction, end: &End) -> Vec<Line> {
    let what = match &end.kind {
        EndKind::World => match end.asked.first() {
            Some(reach::End::Address(address)) => {
                format!("it is outside the cluster ({address} stands for it)")
            }
            _ => "it is outside the cluster".to_owned(),
        },
        EndKind::Address(_) => "it is not the address of a pod".to_owned(),
        EndKind::Service(_) => "no pod is behind it".to_owned(),
        EndKind::Pod { .. } => "it has its node's network".to_owned(),
    };
    vec![
        title(direction, &end.to_string()),
        Line::marked(1, true, format!("{what}: no policy has a say here")),
    ]
}

fn title(direction: Direction, who: &str) -> Line {
    let word = match direction {
        Direction::Ingress => "INGRESS at",
        Direction::Egress => "EGRESS at",
    };
    Line::plain(0, format!("{word} {who}")).styled(ui::TITLE)
}

fn side(explanation: &Explanation) -> Vec<Line> {
    let direction = explanation.question.direction;
    let mut lines = vec![title(direction, &explanation.pod.to_string())];
    match explanation.verdict {
        Verdict::Allow(Because::NotIsolated) => {
            let text = format!("no policy selects it for {direction}: everything is allowed");
            lines.push(Line::marked(1, true, text));
            return lines;
        }
        Verdict::Allow(Because::Node) => {
            lines.push(Line::marked(
                1,
                true,
                "the node it runs on is always allowed",
            ));
            return lines;
        }
        Verdict::Allow(Because::Itself) => {
            lines.push(Line::marked(1, true, "it is the pod itself"));
            return lines;
        }
        _ => {}
    }
    let pod = &explanation.pod;
    let names = explanation.isolated_by.iter().take(MOST_POLICIES);
    let names: Vec<String> = names.map(|policy| within(pod, policy)).collect();
    let more = explanation.isolated_by.len() + explanation.more_policies - names.len();
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let text = format!("isolated by {}{more}", names.join(", "));
    lines.push(Line::plain(1, text).styled(ui::FAINT));
    for invalid in explanation.invalid.iter().take(MOST_RULES) {
        let name = within(pod, &invalid.policy);
        let text = format!("{name} cannot be understood: {}", invalid.problem);
        lines.push(Line::marked(1, false, text));
    }
    if let Some(check) = &explanation.service {
        service(check, pod, direction, &mut lines);
    }
    rules(explanation, pod, &mut lines);
    lines
}

fn rules(explanation: &Explanation, pod: &ObjectRef, lines: &mut Vec<Line>) {
    let direction = explanation.question.direction;
    if explanation.rules.is_empty() && explanation.service.is_none() {
        lines.push(Line::marked(1, false, "no rule allows anything"));
    }
    let nearest = explanation.nearest_miss();
    let alone = explanation.rules.len() + explanation.more_rules == 1;
    let mut shown: Vec<&RuleCheck> = explanation.rules.iter().take(MOST_RULES).collect();
    if let Some(nearest) = nearest
        && !shown.iter().any(|check| check.rule == nearest.rule)
    {
        shown.pop();
        shown.push(nearest);
    }
    for check in &shown {
        let is_nearest = !alone && nearest.is_some_and(|nearest| nearest.rule == check.rule);
        rule(check, pod, direction, 1, is_nearest, lines);
    }
    let more = explanation.rules.len() + explanation.more_rules - shown.len();
    if more > 0 {
        let text = format!("… and {more} more rules that do not match");
        lines.push(Line::plain(1, text).styled(ui::FAINT));
    }
}

fn service(check: &ServiceCheck, pod: &ObjectRef, direction: Direction, lines: &mut Vec<Line>) {
    let total = check.allowed + check.blocked;
    let name = &check.service;
    let text = match (check.known_port, total) {
        (false, _) => format!("Service {name} has no such port"),
        (true, 0) => format!("Service {name} has no ready endpoint"),
        (true, 1) => format!("Service {name} leads to 1 endpoint"),
        (true, total) => format!("Service {name} leads to {total} endpoints"),
    };
    lines.push(Line::marked(
        1,
        matches!(check.verdict, Verdict::Allow(_)),
        text,
    ));
    for endpoint in check.endpoints.iter().take(MOST_ENDPOINTS) {
        let allowed = matches!(endpoint.verdict, Verdict::Allow(_));
        let who = endpoint.identity.as_ref().map_or_else(
            || endpoint.address.to_string(),
            |identity| format!("{}/{}", identity.namespace, identity.name),
        );
        let text = format!("{who} on port {}", endpoint.port);
        lines.push(Line::marked(2, allowed, text));
        if let Some(nearest) = &endpoint.nearest {
            rule(nearest, pod, direction, 3, false, lines);
        } else if !allowed {
            lines.push(Line::plain(4, "no rule allows anything"));
        }
    }
    let more = total.saturating_sub(check.endpoints.len().min(MOST_ENDPOINTS));
    if more > 0 {
        let text = format!("… and {more} more endpoints");
        lines.push(Line::plain(2, text).styled(ui::FAINT));
    }
}

fn rule(
    check: &RuleCheck,
    pod: &ObjectRef,
    direction: Direction,
    depth: usize,
    is_nearest: bool,
    lines: &mut Vec<Line>,
) {
    let id = &check.rule;
    let note = if is_nearest { "  (nearest miss)" } else { "" };
    let name = within(pod, &id.policy);
    let text = format!("{name} {}[{}]{note}", id.direction, id.index);
    let matches = check.peer_matches() && check.port_matches();
    lines.push(Line::marked(depth, matches, text));
    let word = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    match &check.peers {
        None => lines.push(Line::marked(depth + 1, true, format!("{word} everyone"))),
        Some(peers) => {
            for entry in peers.iter().take(MOST_ENTRIES) {
                peer(entry, word, depth + 1, lines);
            }
            left_out(peers.len(), depth + 1, lines);
        }
    }
    match &check.ports {
        None => lines.push(Line::marked(depth + 1, true, "every port")),
        Some(ports) => {
            for entry in ports.iter().take(MOST_ENTRIES) {
                lines.push(port(entry, depth + 1));
            }
            left_out(ports.len(), depth + 1, lines);
        }
    }
}

fn left_out(total: usize, depth: usize, lines: &mut Vec<Line>) {
    if total > MOST_ENTRIES {
        let text = format!("… and {} more", total - MOST_ENTRIES);
        lines.push(Line::plain(depth, text).styled(ui::FAINT));
    }
}

fn peer(check: &PeerCheck, word: &str, depth: usize, lines: &mut Vec<Line>) {
    let matches = check.outcome == PeerOutcome::Matches;
    lines.push(Line::marked(
        depth,
        matches,
        format!("{word} {}", check.says),
    ));
    let below = |good: bool, text: String| Line::marked(depth + 1, good, text);
    match &check.outcome {
        PeerOutcome::Matches => {}
        PeerOutcome::NotAPod => lines.push(below(false, "the address is no pod's".to_owned())),
        PeerOutcome::NotInForce => {
            lines.push(below(false, "not among them (yet, or no more)".to_owned()));
        }
        PeerOutcome::OutsideBlock => {
            lines.push(below(false, "the address is not in it".to_owned()));
        }
        PeerOutcome::Excepted(net) => {
            lines.push(below(
                false,
                format!("the address is in the exception {net}"),
            ));
        }
        PeerOutcome::OtherPod { namespace, pod } => {
            lines.push(part("namespace", namespace, &below));
            lines.push(part("pod", pod, &below));
        }
    }
}

fn part(name: &str, part: &Part, line: &impl Fn(bool, String) -> Line) -> Line {
    match part {
        Part::Holds => line(true, name.to_owned()),
        Part::Differs(mismatch) => line(
            false,
            format!("{name} has {}, wanted {}", mismatch.has, mismatch.wanted),
        ),
        Part::OtherNamespace { wanted, has } => {
            line(false, format!("{name} is {has}, wanted {wanted}"))
        }
    }
}

fn port(check: &PortCheck, depth: usize) -> Line {
    let outcome = check.outcome;
    let mut text = check.says.clone();
    match (outcome.named, outcome.resolved) {
        (true, Some(number)) => text.push_str(&format!(", which is {number} there")),
        (true, None) => text.push_str(", a name that no container there has"),
        (false, _) => {}
    }
    Line::marked(depth, outcome.matches(), text)
}
