//! The flags, and what they become: cilium `hubble/cmd/observe/flows_filter.go`.
//!
//! Flags come as pairs of name and value in the order in which they were typed, because `--not`
//! turns round the one that follows it. Each builds two alternatives, one for either end as the
//! source; what names no end stands in both.

use super::flags::CONFLICTS;
use super::labels::Labels;
use super::values::{block, event_type, identity, protocol, tcp_flags};
use super::{Clause, Filter, IpVersion, Named, WorkloadName};
use crate::flows::parts::{TrafficDirection, Verdict};

/// A flag that cannot be understood, or not beside the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {problem}")]
pub struct Mistake {
    /// Its long name.
    pub flag: String,
    /// What is wrong.
    pub problem: String,
}

/// Reads flags in the order in which they were typed: name and value, the value empty for flags that
/// take none.
///
/// # Errors
/// Every mistake at once.
pub fn parse<'a>(
    typed: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Filter, Vec<Mistake>> {
    let (mut allow, mut deny) = (Side::default(), Side::default());
    let mut mistakes = Vec::new();
    let mut turned = false;
    for (name, value) in typed {
        if name == "not" {
            if turned {
                mistakes.push(mistake("not", "twice in a row"));
            }
            turned = true;
            continue;
        }
        let side = if turned { &mut deny } else { &mut allow };
        turned = false;
        if let Err(problem) = side.set(name, value) {
            mistakes.push(mistake(name, &problem));
        }
    }
    if turned {
        mistakes.push(mistake("not", "no filter follows it"));
    }
    for side in [&allow, &deny] {
        mistakes.extend(side.conflicts());
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    match (allow.clauses(), deny.clauses()) {
        (Ok(allow), Ok(deny)) => Ok(Filter { allow, deny }),
        (allow, deny) => Err([allow.err(), deny.err()].into_iter().flatten().collect()),
    }
}

fn mistake(flag: &str, problem: &str) -> Mistake {
    Mistake {
        flag: flag.to_owned(),
        problem: problem.to_owned(),
    }
}

/// What must hold, or what must not.
#[derive(Default)]
struct Side {
    /// Flags that were given.
    given: Vec<String>,
    left: Draft,
    right: Draft,
    /// Namespaces of either end, of the source, of the destination; they go to the names at the end.
    namespaces: [Vec<String>; 3],
}

/// A clause before names have their namespaces.
#[derive(Default, Clone, PartialEq)]
struct Draft {
    clause: Clause,
    source: Names,
    destination: Names,
}

#[derive(Default, Clone, PartialEq)]
struct Names {
    pods: Vec<String>,
    services: Vec<String>,
}

/// The ends that a flag speaks of, by its prefix.
#[derive(Clone, Copy)]
enum Ends {
    Either,
    Source,
    Destination,
}

impl Side {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if !self.given.iter().any(|given| given == name) {
            self.given.push(name.to_owned());
        }
        let (ends, what) = match name.split_once('-') {
            Some(("from", what)) => (Ends::Source, what),
            Some(("to", what)) => (Ends::Destination, what),
            _ => (Ends::Either, name),
        };
        match what {
            "namespace" => self.namespaces[ends as usize].push(value.to_owned()),
            "all-namespaces" => self.namespaces[ends as usize].push(String::new()),
            "pod" => self.names(ends, value, |names| &mut names.pods)?,
            "service" => self.names(ends, value, |names| &mut names.services)?,
            "label" => {
                let labels = Labels::parse(value)?;
                self.end(ends, |side| side.labels.push(labels.clone()));
            }
            "ip" => {
                let block = block(value)?;
                self.end(ends, |side| side.addresses.push(block));
            }
            "port" => {
                let port = value
                    .parse()
                    .map_err(|_| format!("{value:?} is no port: a number from 0 to 65535"))?;
                self.end(ends, |side| side.ports.push(port));
            }
            "workload" => {
                let (kind, name) = value.split_once('/').unwrap_or(("", value));
                let (kind, name) = (kind.to_owned(), name.to_owned());
                let workload = WorkloadName { kind, name };
                self.end(ends, |side| side.workloads.push(workload.clone()));
            }
            "identity" => {
                let identity = identity(value)?;
                self.end(ends, |side| side.identities.push(identity));
            }
            _ => return self.set_packet(name, value),
        }
        Ok(())
    }

    /// Flags that speak of the packet, and not of one of its ends.
    fn set_packet(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "verdict" => {
                let verdict = Verdict::ALL
                    .into_iter()
                    .find(|verdict| verdict.as_str() == value);
                let verdict = verdict.ok_or_else(|| {
                    format!("{value:?} is no verdict: FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED, TRANSLATED")
                })?;
                self.both(|clause| clause.verdicts.push(verdict));
            }
            "drop-reason-desc" => {
                let spelled = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if value.is_empty() || !value.chars().all(spelled) {
                    return Err(format!("{value:?} is no drop reason: POLICY_DENIED, say"));
                }
                self.both(|clause| clause.drop_reasons.push(value.to_owned()));
            }
            "traffic-direction" => {
                let direction = match value.to_ascii_lowercase().as_str() {
                    "ingress" => TrafficDirection::Ingress,
                    "egress" => TrafficDirection::Egress,
                    _ => return Err(format!("{value:?} is neither ingress nor egress")),
                };
                self.both(|clause| clause.directions.push(direction));
            }
            "protocol" => {
                let protocol = protocol(value)?;
                self.both(|clause| clause.protocols.push(protocol));
            }
            "tcp-flags" => {
                let flags = tcp_flags(value)?;
                self.both(|clause| clause.tcp_flags.push(flags));
            }
            "type" => {
                let wanted = event_type(value)?;
                self.both(|clause| clause.types.push(wanted));
            }
            "ipv4" => self.both(|clause| clause.ip_versions.push(IpVersion::V4)),
            "ipv6" => self.both(|clause| clause.ip_versions.push(IpVersion::V6)),
            "ip-version" => {
                let version = match value.to_ascii_lowercase().as_str() {
                    "4" | "v4" | "ipv4" | "ip4" => IpVersion::V4,
                    "6" | "v6" | "ipv6" | "ip6" => IpVersion::V6,
                    "none" => IpVersion::None,
                    _ => return Err(format!("{value:?} is none of none, v4, v6")),
                };
                self.both(|clause| clause.ip_versions.push(version));
            }
            "reply" => self.both(|clause| clause.replies.push(true)),
            "not-reply" => self.both(|clause| clause.replies.push(false)),
            "uuid" => self.both(|clause| clause.uuids.push(value.to_owned())),
            _ => return Err("there is no such filter".to_owned()),
        }
        Ok(())
    }

    fn both(&mut self, change: impl Fn(&mut Clause)) {
        change(&mut self.left.clause);
        change(&mut self.right.clause);
    }

    /// Either end: the left alternative has it as source, the right one as destination.
    fn end(&mut self, ends: Ends, change: impl Fn(&mut super::Side)) {
        match ends {
            Ends::Either => {
                change(&mut self.left.clause.source);
                change(&mut self.right.clause.destination);
            }
            Ends::Source => self.both(|clause| change(&mut clause.source)),
            Ends::Destination => self.both(|clause| change(&mut clause.destination)),
        }
    }

    fn names(
        &mut self,
        ends: Ends,
        value: &str,
        list: fn(&mut Names) -> &mut Vec<String>,
    ) -> Result<(), String> {
        if value.is_empty() {
            return Err("the name must not be empty".to_owned());
        }
        let (left, right) = (&mut self.left, &mut self.right);
        let of = match ends {
            Ends::Either => [&mut left.source, &mut right.destination],
            Ends::Source => [&mut left.source, &mut right.source],
            Ends::Destination => [&mut left.destination, &mut right.destination],
        };
        for names in of {
            list(names).push(value.to_owned());
        }
        Ok(())
    }

    fn conflicts(&self) -> Vec<Mistake> {
        let given = |flag: &&&str| self.given.iter().any(|given| given == **flag);
        let mut mistakes: Vec<Mistake> = Vec::new();
        for group in CONFLICTS {
            let clash: Vec<&&str> = group.iter().filter(given).collect();
            if let [first, others @ ..] = clash.as_slice() {
                for other in others {
                    let found = mistake(other, &format!("cannot be combined with --{first}"));
                    if !mistakes.contains(&found) {
                        mistakes.push(found);
                    }
                }
            }
        }
        mistakes
    }

    /// The alternatives; one if both are the same, none if nothing was given.
    fn clauses(mut self) -> Result<Vec<Clause>, Mistake> {
        if self.given.is_empty() {
            return Ok(Vec::new());
        }
        let [either, source, destination] = std::mem::take(&mut self.namespaces);
        for draft in [&mut self.left, &mut self.right] {
            draft.destination.put_into(&destination, "to-namespace")?;
            draft.source.put_into(&source, "from-namespace")?;
        }
        self.left.source.put_into(&either, "namespace")?;
        self.right.destination.put_into(&either, "namespace")?;
        let (left, right) = (self.left.finish(), self.right.finish());
        Ok(if left == right {
            vec![left]
        } else {
            vec![left, right]
        })
    }
}

impl Names {
    /// Names without a namespace are of these; without a name, all pods of them are meant.
    fn put_into(&mut self, namespaces: &[String], flag: &str) -> Result<(), Mistake> {
        if namespaces.is_empty() {
            return Ok(());
        }
        for name in self.pods.iter().chain(&self.services) {
            if let Some((own, _)) = name.split_once('/')
                && let Some(other) = namespaces.iter().find(|namespace| *namespace != own)
            {
                return Err(mistake(
                    flag,
                    &format!("{other:?} does not contain {name:?}"),
                ));
            }
        }
        if self.pods.is_empty() && self.services.is_empty() {
            self.pods.push(String::new());
        }
        for names in [&mut self.pods, &mut self.services] {
            *names = std::mem::take(names)
                .into_iter()
                .flat_map(|name| match name.contains('/') {
                    true => vec![name],
                    false => namespaces
                        .iter()
                        .map(|namespace| format!("{namespace}/{name}"))
                        .collect(),
                })
                .collect();
        }
        Ok(())
    }

    fn named(names: &[String]) -> Vec<Named> {
        let named = |name: &String| {
            // Without a namespace, Hubble means the one called default.
            let (namespace, prefix) = name.split_once('/').unwrap_or(("default", name));
            // What follows a second slash is not looked at.
            let prefix = prefix.split('/').next().unwrap_or_default();
            Named {
                namespace: namespace.to_owned(),
                prefix: prefix.to_owned(),
            }
        };
        names.iter().map(named).collect()
    }
}

impl Draft {
    fn finish(self) -> Clause {
        let mut clause = self.clause;
        clause.source.pods = Names::named(&self.source.pods);
        clause.source.services = Names::named(&self.source.services);
        clause.destination.pods = Names::named(&self.destination.pods);
        clause.destination.services = Names::named(&self.destination.services);
        clause
    }
}
