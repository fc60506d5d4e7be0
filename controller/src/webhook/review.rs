//! One review: the pod in it is asked, injected, and the difference is the answer.

use std::time::Instant;

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};

use super::beginning;
use super::events::{Events, Telling, owner};
use super::namespaces::Namespaces;
use crate::inject::consent::{Consent, Skip};
use crate::inject::tree::Node;
use crate::inject::{Injector, Outcome, patch};

/// Warnings are cut by the API server behind this many characters (apiserver warning header).
const LONGEST_WARNING: usize = 256;

/// Answers reviews.
pub struct Reviewer {
    /// Puts the sidecar into pods.
    pub injector: Injector,
    /// What namespaces say.
    pub namespaces: Namespaces,
    /// The controller's own namespace.
    pub own_namespace: String,
    /// Where owners are told.
    pub events: Events,
}

type Request = AdmissionRequest<DynamicObject>;

impl Reviewer {
    /// Answers one review.
    pub async fn answer(
        &self,
        review: AdmissionReview<DynamicObject>,
    ) -> AdmissionReview<DynamicObject> {
        let started = Instant::now();
        let request: Request = match review.try_into() {
            Ok(request) => request,
            Err(error) => return AdmissionResponse::invalid(error).into_review(),
        };
        let response = AdmissionResponse::from(&request);
        let is_pod = request.kind.kind == "Pod" && request.kind.group.is_empty();
        let (true, Operation::Create, Some(object)) =
            (is_pod, &request.operation, request.object.as_ref())
        else {
            return response.into_review();
        };
        let (answer, outcome, code) = match self.outcome(&request, object).await {
            Ok((pod, outcome)) => {
                self.tell(&request, object, &outcome);
                let words = (outcome_word(&outcome), code(&outcome));
                let answer = answer(response, &pod, outcome);
                (answer, words.0, words.1)
            }
            // Better no pod than an open one: it is tried again by whoever made it.
            Err(error) => {
                let answer = response.deny(format!("sidewall: {error:#}"));
                (answer, "refused", "failed")
            }
        };
        crate::metrics::reviewed(outcome, code, started.elapsed());
        tracing::info!(
            namespace = request.namespace,
            pod = name(object),
            outcome,
            code,
            dry_run = request.dry_run,
            why = answer.result.message,
            "reviewed"
        );
        answer.into_review()
    }

    async fn outcome(
        &self,
        request: &Request,
        object: &DynamicObject,
    ) -> anyhow::Result<(Node, Outcome)> {
        let pod = serde_json::to_value(object)?;
        let pod: Node = serde_json::from_value(pod)?;
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let mut says = self.namespaces.known(namespace);
        let mut outcome = self.injector.inject(&pod, &self.consent(namespace, &says));
        if matches!(outcome, Outcome::Skipped(Skip::NotOptedIn | Skip::Disabled)) {
            says = self.namespaces.ask(namespace).await?;
            outcome = self.injector.inject(&pod, &self.consent(namespace, &says));
        }
        Ok((pod, outcome))
    }

    fn consent<'a>(
        &'a self,
        namespace: &'a str,
        says: &'a crate::inject::consent::Answers,
    ) -> Consent<'a> {
        Consent {
            namespace: Some(namespace),
            own_namespace: Some(&self.own_namespace),
            namespace_says: Some(says),
        }
    }

    fn tell(&self, request: &Request, object: &DynamicObject, outcome: &Outcome) {
        // A dry run has no side effects.
        if request.dry_run {
            return;
        }
        let (reason, note) = match outcome {
            Outcome::Skipped(skip) if skip.leaves_unguarded() => (
                "SidewallSkipped",
                format!("pod {} is not guarded: {skip}", name(object)),
            ),
            Outcome::Refused(mistakes) => (
                "SidewallRefused",
                format!("pod {} was refused: {}", name(object), mistakes.join("; ")),
            ),
            _ => return,
        };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        self.events.tell(Telling {
            regarding: owner(&object.metadata, namespace),
            reason,
            note,
        });
    }
}

fn answer(response: AdmissionResponse, pod: &Node, outcome: Outcome) -> AdmissionResponse {
    let injected = match outcome {
        Outcome::Skipped(skip) => return noted(response, "skipped", skip.code()),
        Outcome::Refused(mistakes) => {
            return response.deny(format!("sidewall: {}", mistakes.join("; ")));
        }
        Outcome::Injected(injected) => injected,
    };
    let warnings = injected.warnings.iter();
    let warnings: Vec<String> = warnings
        .map(|warning| beginning(warning, LONGEST_WARNING).to_owned())
        .collect();
    let mut response = noted(response, "injected", injected.change.as_str());
    response.warnings = (!warnings.is_empty()).then_some(warnings);
    let patch = patch::between(pod, &injected.pod);
    response
        .with_patch(patch)
        .expect("a patch of trees with text keys can be written as JSON")
}

/// For the API server's audit log, where the key gets the webhook's name in front.
fn noted(mut response: AdmissionResponse, outcome: &str, code: &str) -> AdmissionResponse {
    let entry = (outcome.to_owned(), code.to_owned());
    response.audit_annotations.extend([entry]);
    response
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Injected(_) => "injected",
        Outcome::Skipped(_) => "skipped",
        Outcome::Refused(_) => "refused",
    }
}

fn code(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Injected(injected) => injected.change.as_str(),
        Outcome::Skipped(skip) => skip.code(),
        Outcome::Refused(_) => "mistakes",
    }
}

/// The pod's name, or what it will begin with.
fn name(object: &DynamicObject) -> &str {
    let metadata = &object.metadata;
    let name = metadata.name.as_deref().filter(|name| !name.is_empty());
    name.or(metadata.generate_name.as_deref())
        .unwrap_or("(unnamed)")
}
