//! An explanation for terminals: plain text with ✓ and ✗, without colours.

use std::fmt::{self, Write as _};

use super::check::{Part, PeerCheck, PeerOutcome, PortCheck, RuleCheck, asked};
use super::service::ServiceCheck;
use super::{Explanation, Question};
use crate::net::Direction;
use crate::policy::allow_list::ObjectRef;
use crate::verdict::Verdict;

impl Explanation {
    /// One line: mark, both ends, protocol and port, and the sentence.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{} {}  {}",
            mark(self.allowed()),
            self.headline(),
            self.summary
        )
    }

    /// Both ends in the direction of the flow, and what is asked for.
    #[must_use]
    pub fn headline(&self) -> String {
        let Question {
            direction,
            peer,
            protocol,
            port,
        } = self.question;
        let pod = self.pod.to_string();
        let peer = match (&self.identity, &self.service) {
            (Some(identity), _) => format!("{}/{} ({peer})", identity.namespace, identity.name),
            (None, Some(service)) => format!("Service {} ({peer})", service.service),
            (None, None) => peer.to_string(),
        };
        let (from, to) = match direction {
            Direction::Ingress => (peer, pod),
            Direction::Egress => (pod, peer),
        };
        format!("{direction} {from} → {to} {}", asked(protocol, port))
    }
}

impl fmt::Display for Explanation {
    /// Several lines: the headline, who isolates, each rule with its criteria, and the sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.allowed() { "ALLOWED" } else { "BLOCKED" };
        writeln!(f, "{} {word} {}", mark(self.allowed()), self.headline())?;
        if !self.isolated_by.is_empty() {
            let names: Vec<String> = self.isolated_by.iter().map(ObjectRef::to_string).collect();
            write!(f, "  isolated by {}", names.join(", "))?;
            match self.more_policies {
                0 => writeln!(f)?,
                more => writeln!(f, " and {more} more")?,
            }
        }
        for invalid in &self.invalid {
            writeln!(
                f,
                "  ✗ {} cannot be understood: {}",
                invalid.policy, invalid.problem
            )?;
        }
        if let Some(service) = &self.service {
            write_service(f, service)?;
        }
        for rule in &self.rules {
            write_rule(f, rule, "  ")?;
        }
        if self.more_rules > 0 {
            writeln!(
                f,
                "  … and {} more rules that fail in more",
                self.more_rules
            )?;
        }
        write!(f, "  {}", self.summary)
    }
}

fn write_service(f: &mut fmt::Formatter<'_>, service: &ServiceCheck) -> fmt::Result {
    let total = service.allowed + service.blocked;
    writeln!(f, "  Service {}: {total} ready endpoints", service.service)?;
    for endpoint in &service.endpoints {
        let allowed = matches!(endpoint.verdict, Verdict::Allow(_));
        let name = endpoint.identity.as_ref();
        let name = name.map(|identity| format!(" ({}/{})", identity.namespace, identity.name));
        let by = endpoint
            .allowed_by
            .as_ref()
            .map(|rule| format!(" by {rule}"));
        writeln!(
            f,
            "    {} {} port {}{}{}",
            mark(allowed),
            endpoint.address,
            endpoint.port,
            name.unwrap_or_default(),
            by.unwrap_or_default(),
        )?;
        if let Some(rule) = &endpoint.nearest {
            write_rule(f, rule, "      ")?;
        }
    }
    let left = total.saturating_sub(service.endpoints.len());
    if left > 0 {
        writeln!(f, "    … and {left} more")?;
    }
    Ok(())
}

fn write_rule(f: &mut fmt::Formatter<'_>, rule: &RuleCheck, indent: &str) -> fmt::Result {
    let matches = rule.peer_matches() && rule.port_matches();
    writeln!(f, "{indent}{} {}", mark(matches), rule.rule)?;
    if rule.peers.is_none() {
        writeln!(f, "{indent}  ✓ every peer")?;
    }
    for peer in rule.peers.iter().flatten() {
        writeln!(f, "{indent}  {}", peer_line(peer))?;
    }
    if rule.ports.is_none() {
        writeln!(f, "{indent}  ✓ every port")?;
    }
    for port in rule.ports.iter().flatten() {
        writeln!(f, "{indent}  {}", port_line(port))?;
    }
    Ok(())
}

fn peer_line(peer: &PeerCheck) -> String {
    let mut line = format!(
        "{} {}",
        mark(peer.outcome == PeerOutcome::Matches),
        peer.says
    );
    let why = match &peer.outcome {
        PeerOutcome::Matches => return line,
        PeerOutcome::NotAPod => "the address is no pod's".to_owned(),
        PeerOutcome::NotInForce => "not among them (yet, or no more)".to_owned(),
        PeerOutcome::OutsideBlock => "the address is not in it".to_owned(),
        PeerOutcome::Excepted(net) => format!("the address is in the exception {net}"),
        PeerOutcome::OtherPod { namespace, pod } => {
            let part = |name: &str, part: &Part| match part {
                Part::Holds => format!("{name} ✓"),
                Part::OtherNamespace { wanted, has } => {
                    format!("{name} ✗ wants {wanted}, is {has}")
                }
                Part::Differs(mismatch) => {
                    format!("{name} ✗ wants {}, has {}", mismatch.wanted, mismatch.has)
                }
            };
            format!("{}; {}", part("namespace", namespace), part("pod", pod))
        }
    };
    // Writing to a String cannot fail.
    let _ = write!(line, " ({why})");
    line
}

fn port_line(port: &PortCheck) -> String {
    let outcome = port.outcome;
    let mut line = format!("{} {}", mark(outcome.matches()), port.says);
    let mut why = Vec::new();
    match (outcome.named, outcome.resolved) {
        (true, Some(number)) => why.push(format!("which is {number} there")),
        (true, None) => why.push("which means nothing there".to_owned()),
        (false, _) => {}
    }
    if !outcome.protocol {
        why.push("another protocol".to_owned());
    }
    if !outcome.port {
        why.push("another port".to_owned());
    }
    if !why.is_empty() {
        let _ = write!(line, " ({})", why.join(", "));
    }
    line
}

fn mark(good: bool) -> char {
    if good { '✓' } else { '✗' }
}
