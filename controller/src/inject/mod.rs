//! The injector: a pod (or the template of one) in, the same pod with the sidecar in front out.
//!
//! Pure: no API server, no files, no clock. The webhook ([`crate::webhook`]) and `sidewall inject`
//! are two faces of it. Not here: what the sidecar does once it runs.
//!
//! ```text
//! pod ─► consent   does it ask? may it?          ─► Skipped(code)
//!        options   config.sidewall.dev/…         ─► Refused(every mistake)
//!        sidecar   the container, its volumes
//!        pod       put it in front, or back in front ─► Injected(pod)
//! ```
//!
//! [`manifest`] does this to every document of a YAML stream, and undoes it; [`patch`] says the
//! difference as a JSON Patch.

pub mod consent;
pub mod manifest;
pub mod options;
pub mod patch;
pub mod pod;
pub mod quantity;
pub mod settings;
pub mod sidecar;
pub mod tree;
pub mod workload;

use consent::{Consent, Skip};
use pod::{Change, Placed};
use settings::Settings;
use tree::Node;

/// The name of the sidecar's container.
pub const CONTAINER: &str = "sidewall";

/// What the injector says of one pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The pod with the sidecar, and what was done to it.
    Injected(Box<Injected>),
    /// The pod stays as it is, and why.
    Skipped(Skip),
    /// The pod cannot be injected as it asks, and everything that is wrong with it.
    Refused(Vec<String>),
}

/// A pod that was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Injected {
    /// The pod with the sidecar in front.
    pub pod: Node,
    /// What was done.
    pub change: Change,
    /// What its author should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Puts the sidecar into pods, as the settings say.
#[derive(Debug, Clone)]
pub struct Injector {
    settings: Settings,
}

impl Injector {
    /// With settings that were found valid when they were read.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Injects one pod, or the template of one: a node with `metadata` and `spec`.
    #[must_use]
    pub fn inject(&self, pod: &Node, consent: &Consent<'_>) -> Outcome {
        match consent.of(pod) {
            Ok(None) => {}
            Ok(Some(skip)) => return Outcome::Skipped(skip),
            Err(mistake) => return Outcome::Refused(vec![mistake]),
        }
        let options = match self.settings.options.with_overrides(pod) {
            Ok(options) => options,
            Err(mistakes) => return Outcome::Refused(mistakes),
        };
        let sidecar = sidecar::Sidecar::new(&self.settings, &options);
        let mut pod = pod.clone();
        match pod::put_in(&mut pod, &sidecar) {
            Err(mistakes) => Outcome::Refused(mistakes),
            Ok(Placed::AsItWas) => Outcome::Skipped(Skip::AlreadyInjected),
            Ok(Placed::Changed(change)) => {
                let warnings = pod::warnings(&pod);
                let injected = Injected {
                    pod,
                    change,
                    warnings,
                };
                Outcome::Injected(Box::new(injected))
            }
        }
    }
}

#[cfg(test)]
mod tests;
