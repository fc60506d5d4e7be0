//! What one check found, and how grave it is.

use serde::Serialize;

use super::catalogue::Check;

/// How many names a finding tells before it counts the others.
const TOLD: usize = 5;

/// Grave and graver; the exit code follows the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    #[serde(rename = "success")]
    Good,
    /// It works, and deserves a look.
    Warning,
    /// It could not be told.
    Unknown,
    /// It does not work, or pods are open that should not be.
    #[serde(rename = "error")]
    Bad,
}

/// What one check found.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) check: &'static Check,
    pub(super) verdict: Verdict,
    /// What was seen, a line each.
    pub(super) seen: Vec<String>,
}

/// Checks that belong together.
#[derive(Debug, Clone)]
pub(super) struct Category {
    pub(super) name: &'static str,
    pub(super) findings: Vec<Finding>,
}

impl Category {
    pub(super) const fn new(name: &'static str, findings: Vec<Finding>) -> Self {
        Self { name, findings }
    }
}

impl Check {
    /// As it should be.
    pub(super) const fn good(&'static self) -> Finding {
        self.found(Verdict::Good, Vec::new())
    }

    /// It works, but.
    pub(super) fn warning(&'static self, seen: impl Into<String>) -> Finding {
        self.found(Verdict::Warning, vec![seen.into()])
    }

    /// It does not work.
    pub(super) fn bad(&'static self, seen: impl Into<String>) -> Finding {
        self.found(Verdict::Bad, vec![seen.into()])
    }

    /// It could not be told, because of this.
    pub(super) fn unknown(&'static self, why: impl Into<String>) -> Finding {
        self.found(Verdict::Unknown, vec![why.into()])
    }

    /// As grave as said when anything was seen, else good.
    pub(super) fn unless_empty(&'static self, verdict: Verdict, seen: Vec<String>) -> Finding {
        if seen.is_empty() {
            self.good()
        } else {
            self.found(verdict, few(seen))
        }
    }

    pub(super) const fn found(&'static self, verdict: Verdict, seen: Vec<String>) -> Finding {
        Finding {
            check: self,
            verdict,
            seen,
        }
    }
}

/// The gravest of all.
pub(super) fn verdict(categories: &[Category]) -> Verdict {
    let findings = categories.iter().flat_map(|category| &category.findings);
    let verdicts = findings.map(|finding| finding.verdict);
    verdicts.max().unwrap_or(Verdict::Good)
}

/// The first ones, and how many more there are.
fn few(mut all: Vec<String>) -> Vec<String> {
    let more = all.len().saturating_sub(TOLD);
    if more > 0 {
        all.truncate(TOLD);
        all.push(format!("and {more} more"));
    }
    all
}
