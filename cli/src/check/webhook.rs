//! The webhook's registration, its certificate authority, and whether it answers.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use x509_parser::pem::Pem;

use super::catalogue::{AUTHORITY, CERTIFICATE, FAILURE_POLICY, INJECTS, WEBHOOK};
use super::controller::is_ours;
use super::facts::{DryRun, Facts};
use super::finding::{Finding, Verdict};
use super::sidecars::sidecar;

/// The controller renews 30 days before the end; half of that later somebody should look.
const SOON_DAYS: i64 = 15;
const DAY: i64 = 24 * 60 * 60;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let all = match &facts.webhooks {
        Ok(all) => all,
        Err(why) => return vec![WEBHOOK.unknown(why.clone())],
    };
    let ours: Vec<_> = all
        .iter()
        .filter(|one| is_ours(*one) && calls_release(one, facts))
        .collect();
    if ours.is_empty() {
        let seen = format!(
            "no MutatingWebhookConfiguration calls namespace {}",
            facts.release_namespace
        );
        return vec![WEBHOOK.bad(seen)];
    }
    let mut findings = vec![WEBHOOK.good(), failure_policy(&ours, facts)];
    let (mut without, mut ended, mut soon) = (Vec::new(), Vec::new(), Vec::new());
    for webhook in ours.iter().flat_map(|one| one.webhooks.iter().flatten()) {
        let bundle = webhook.client_config.ca_bundle.as_ref();
        match bundle
            .filter(|bundle| !bundle.0.is_empty())
            .map(|bundle| last_end(&bundle.0))
        {
            None => without.push(format!("{} has no caBundle", webhook.name)),
            Some(Err(why)) => without.push(format!("{}: caBundle: {why}", webhook.name)),
            Some(Ok(end)) if end < facts.now => {
                ended.push(format!("{}: ended {}", webhook.name, date(end)));
            }
            Some(Ok(end)) if end < facts.now + SOON_DAYS * DAY => {
                soon.push(format!("{}: ends {}", webhook.name, date(end)));
            }
            Some(Ok(_)) => {}
        }
    }
    if without.is_empty() {
        findings.push(AUTHORITY.good());
        findings.push(match ended.is_empty() {
            true => CERTIFICATE.unless_empty(Verdict::Warning, soon),
            false => CERTIFICATE.unless_empty(Verdict::Bad, ended),
        });
    } else {
        findings.push(AUTHORITY.unless_empty(Verdict::Bad, without));
    }
    findings.extend(facts.dry_run.as_ref().map(injects));
    findings
}

fn calls_release(configuration: &MutatingWebhookConfiguration, facts: &Facts) -> bool {
    let mut webhooks = configuration.webhooks.iter().flatten();
    webhooks.any(|webhook| {
        let service = webhook.client_config.service.as_ref();
        service.is_some_and(|service| service.namespace == facts.release_namespace)
    })
}

fn failure_policy(ours: &[&MutatingWebhookConfiguration], facts: &Facts) -> Finding {
    // The one that looks for annotations of namespaces never stands in a pod's way: by design.
    const BY_DESIGN: &str = "namespace-annotation.inject.sidewall.dev";
    let open = ours
        .iter()
        .flat_map(|one| one.webhooks.iter().flatten())
        .filter(|webhook| webhook.name != BY_DESIGN)
        .filter(|webhook| webhook.failure_policy.as_deref() == Some("Ignore"))
        .map(|webhook| format!("{} has failurePolicy Ignore", webhook.name));
    let open: Vec<String> = open.collect();
    let refused_otherwise = facts.admission_bindings.iter().flatten().any(|binding| {
        let actions = binding
            .spec
            .as_ref()
            .and_then(|spec| spec.validation_actions.as_ref());
        is_ours(binding) && actions.is_some_and(|actions| actions.iter().any(|a| a == "Deny"))
    });
    if refused_otherwise {
        return FAILURE_POLICY.good();
    }
    FAILURE_POLICY.unless_empty(Verdict::Warning, open)
}

/// When the last of the authorities ends: while one holds, a certificate can be trusted.
fn last_end(bundle: &[u8]) -> Result<i64, String> {
    let mut last = None;
    for pem in Pem::iter_from_buffer(bundle) {
        let pem = pem.map_err(|error| format!("not PEM: {error}"))?;
        let certificate = pem
            .parse_x509()
            .map_err(|error| format!("not a certificate: {error}"))?;
        last = last.max(Some(certificate.validity().not_after.timestamp()));
    }
    last.ok_or_else(|| "no certificate in it".to_owned())
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| seconds.to_string(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// What came of a pod that asks for a sidecar.
fn injects(dry_run: &DryRun) -> Finding {
    let DryRun { namespace, outcome } = dry_run;
    match outcome {
        Ok(pod) if sidecar(pod).is_some() => INJECTS.good(),
        Ok(_) => INJECTS.bad(format!(
            "a pod that asks for a sidecar came back without one (dry run in namespace {namespace})"
        )),
        Err(why) if why.contains("failed calling webhook") => INJECTS.bad(why.clone()),
        // It was injected, and refused for what was injected.
        Err(why) if why.contains("violates PodSecurity") => INJECTS.found(
            Verdict::Good,
            vec![format!(
                "Pod Security Admission then refuses it in namespace {namespace}"
            )],
        ),
        Err(why) => INJECTS.unknown(format!("dry run in namespace {namespace}: {why}")),
    }
}
