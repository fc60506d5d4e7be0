//! SW007: a policy in a namespace that does not exist.

use super::Rule;
use crate::lint::Severity;
use crate::lint::context::Context;
use crate::lint::finding::Found;
use crate::policy::cluster::Kind;
use crate::spelling::nearest;

pub(super) static RULE: Rule = Rule {
    id: "SW007",
    name: "unknown-namespace",
    severity: Severity::Warning,
    means: "No namespace of this name is defined and nothing but policies is in it, although other \
            namespaces are there. A policy holds for pods of its own namespace only.",
    fix: "correct metadata.namespace, or add the namespace's manifests to what is read",
};

pub(super) fn check(context: &Context<'_>, found: &mut Found) {
    let others = context.input.objects.iter();
    let others = others.filter(|object| object.kind != Kind::NetworkPolicy);
    let known: Vec<&str> = others
        .map(|object| match object.kind {
            Kind::Namespace => object.id.name.as_str(),
            _ => object.id.namespace.as_str(),
        })
        .filter(|name| !name.is_empty())
        .collect();
    if known.is_empty() {
        return;
    }
    for subject in &context.policies {
        let namespace = &subject.policy.id().namespace;
        if context.has_namespace(namespace) || known.contains(&namespace.as_str()) {
            continue;
        }
        let message = format!("there is no namespace {namespace}");
        let fix = match nearest(namespace, known.iter().copied()) {
            Some(near) => format!("did you mean {near}? {}", RULE.fix),
            None => RULE.fix.to_owned(),
        };
        found.add(&RULE, subject.given, "metadata.namespace", message, fix);
    }
}
