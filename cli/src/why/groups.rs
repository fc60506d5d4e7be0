//! Many connections in few lines: those between the same workloads with the same verdict for the same
//! reason are one group. The blocked ones come first.

use std::collections::BTreeMap;

use sidewall::net::Protocol;
use sidewall::policy::explain::Explanation;

use crate::ends::EndKind;
use crate::ends::ask::{Answer, Like};

/// Connections that are told as one.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Who connects, in words.
    pub(super) from: String,
    /// To whom.
    pub(super) to: String,
    /// At least one.
    answers: Vec<&'a Answer>,
}

impl<'a> Group<'a> {
    /// The connection that stands for all.
    pub(super) fn first(&self) -> &'a Answer {
        // A group is made with its first answer.
        self.answers[0]
    }

    /// How many pairs of pods it is.
    pub(super) fn pairs(&self) -> usize {
        let pairs = self
            .answers
            .iter()
            .map(|answer| (answer.from.more + 1) * (answer.to.more + 1));
        pairs.sum()
    }
}

/// Workloads or pods, the port, and what decides.
type Key = (bool, String, String, (Protocol, u16), String);

/// The answers in groups.
pub(super) fn of(answers: &[Answer]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<Key, Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        let key = (
            answer.allowed(),
            name(&answer.from),
            name(&answer.to),
            (answer.protocol, answer.port),
            reason(answer),
        );
        groups.entry(key).or_default().push(answer);
    }
    let groups = groups.into_values().filter_map(|answers| {
        let first = answers.first()?;
        let (from, to) = (&first.from, &first.to);
        let several = answers.len() > 1;
        Some(Group {
            from: if several {
                name(from)
            } else {
                from.to_string()
            },
            to: if several { name(to) } else { to.to_string() },
            answers,
        })
    });
    groups.collect()
}

/// The workload, if there is one.
fn name(like: &Like) -> String {
    match &like.end.kind {
        EndKind::Pod {
            workload: Some(workload),
            ..
        } => workload.clone(),
        _ => like.end.to_string(),
    }
}

/// The verdict of each end with the rule that made it, without the pods' names.
fn reason(answer: &Answer) -> String {
    let all = answer.reach.egress.iter().chain(&answer.reach.ingress);
    let one = |explanation: &Explanation| {
        let by = explanation.allowed_by.as_ref();
        let nearest = explanation.nearest_miss().map(|check| &check.rule);
        let rule = by.or(nearest).map(ToString::to_string);
        format!(
            "{} {} {}",
            explanation.question.direction,
            explanation.verdict.as_str(),
            rule.unwrap_or_default()
        )
    };
    all.map(one).collect::<Vec<_>>().join(", ")
}
