//! The answers of the policy engine. Allow lists are compiled once a pod, whatever the number of
//! tests.

use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::Reacher;

use super::Outcome;
use super::file::Destination;
use super::plan::{Pair, Plan};
use crate::ends;
use crate::expect::Expect;
use crate::source::Source;

/// Answers every test, in their order.
pub(crate) fn run(plans: &[Plan<'_>], source: &Source) -> Vec<Outcome> {
    let mut reacher = Reacher::new(&source.cluster, LookupOptions::default());
    plans
        .iter()
        .map(|plan| outcome(plan, &mut reacher))
        .collect()
}

/// All connections of a test must do what it expects; the first that does not is told.
fn outcome(plan: &Plan<'_>, reacher: &mut Reacher<'_>) -> Outcome {
    let mut first = None;
    for pair in &plan.pairs {
        let outcome = ask(plan, pair, reacher);
        if outcome.got != Ok(plan.test.expect) {
            return outcome;
        }
        first.get_or_insert(outcome);
    }
    first.unwrap_or_else(|| Outcome {
        got: Err("it means no connection".to_owned()),
        reason: String::new(),
        seen: String::new(),
    })
}

fn ask(plan: &Plan<'_>, pair: &Pair, reacher: &mut Reacher<'_>) -> Outcome {
    let protocol = plan.test.port.protocol;
    let reach = match ends::reach(reacher, &pair.from, &pair.to, protocol, pair.port) {
        Ok(reach) => reach,
        Err(why) => {
            return Outcome {
                got: Err(format!("It cannot be told: {why}.")),
                reason: String::new(),
                seen: String::new(),
            };
        }
    };
    let mut reason = match reach.decisive() {
        Some(explanation) => explanation.summary.clone(),
        None if reach.loopback => {
            "Allowed: a pod's connection to itself never leaves it.".to_owned()
        }
        None => "Allowed: neither end is a pod that policies have a say over.".to_owned(),
    };
    if plan.pairs.len() > 1 {
        reason = format!("{} → {}: {reason}", pair.from, pair.to);
    }
    if let Destination::Host(name) = &plan.test.to {
        reason.push_str(&format!(
            " ({name} is judged as an address outside the cluster.)"
        ));
    }
    Outcome {
        got: Ok(Expect::of(reach.allowed())),
        reason,
        seen: String::new(),
    }
}
