//! Why a cluster could not be read: everything that is wrong, one line each.

use std::fmt;
use std::path::PathBuf;

use sidewall::manifest::Mistake;

/// Everything that is wrong. Exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) struct LoadError {
    /// At least one.
    pub(crate) problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// In a manifest.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// A file or folder that cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// There is nothing to read.
    #[error("{0}")]
    NoCluster(String),
    /// The API server does not let this account list a kind.
    #[error(
        "may not list {resource}: the account of this kubeconfig needs the verb \"list\" on {resource} in all \
         namespaces (kubectl auth can-i list {resource} --all-namespaces; kubectl create clusterrole \
         sidewall-read --verb=list --resource={resource})"
    )]
    Forbidden {
        /// Plural and group, as in `networkpolicies.networking.k8s.io`.
        resource: String,
    },
    /// The API server did not answer, or not with a list.
    #[error("cannot list {resource}: {why}")]
    Failed {
        /// Plural and group.
        resource: String,
        /// What came instead.
        why: String,
    },
}

impl From<Problem> for LoadError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let between = if index == 0 { "" } else { "\n" };
            write!(f, "{between}{problem}")?;
        }
        Ok(())
    }
}
