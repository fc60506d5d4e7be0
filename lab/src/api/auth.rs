//! Who asks, and what they may: bearer tokens and client certificates to users, users to rules.
//!
//! There is no RBAC API here. A user may do everything, or what a list of [`Rule`]s names; the refusal
//! reads like RBAC's, so that a client's message about a missing permission can be tested.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::errors::ApiError;
use super::kinds::Kind;
use super::request::Target;

/// A user and what they may do.
#[derive(Debug, Clone)]
pub struct User {
    /// The name shown in refusals, e.g. `system:serviceaccount:np-demo:default`.
    pub name: String,
    /// Groups, shown by `kubectl auth whoami`.
    pub groups: Vec<String>,
    /// `None`: everything. Otherwise only what some rule allows.
    pub rules: Option<Vec<Rule>>,
}

/// Allows verbs on resources, like a rule of a Role; `*` stands for all.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `get`, `list`, `watch`, …
    pub verbs: Vec<String>,
    /// API groups, `""` for the core group.
    pub groups: Vec<String>,
    /// Plural names, with `/status` for a subresource.
    pub resources: Vec<String>,
    /// In this namespace only; `None` in all of them and for objects of the cluster.
    pub namespace: Option<String>,
}

impl User {
    /// A user who may do everything.
    pub fn admin(name: &str) -> User {
        User {
            name: name.to_owned(),
            groups: vec![
                "system:masters".to_owned(),
                "system:authenticated".to_owned(),
            ],
            rules: None,
        }
    }

    /// A user who may do what the rules say.
    pub fn restricted(name: &str, rules: Vec<Rule>) -> User {
        User {
            name: name.to_owned(),
            groups: vec!["system:authenticated".to_owned()],
            rules: Some(rules),
        }
    }
}

impl Rule {
    /// Allows these verbs on one resource everywhere.
    pub fn new(verbs: &[&str], group: &str, resource: &str) -> Rule {
        Rule {
            verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
            groups: vec![group.to_owned()],
            resources: vec![resource.to_owned()],
            namespace: None,
        }
    }

    /// The same within one namespace.
    pub fn within(mut self, namespace: &str) -> Rule {
        self.namespace = Some(namespace.to_owned());
        self
    }
}

/// What is asked: one attribute set, as an access review writes it.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: String,
    pub namespace: &'a str,
}

impl<'a> Ask<'a> {
    pub(crate) fn of(target: &'a Target) -> Ask<'a> {
        let resource = match &target.subresource {
            Some(sub) => format!("{}/{sub}", target.kind.plural),
            None => target.kind.plural.to_owned(),
        };
        // A namespace is asked for within itself.
        let namespace = match (target.kind.plural, &target.name) {
            ("namespaces", Some(name)) => name,
            _ => target.namespace(),
        };
        Ask {
            verb: target.verb,
            group: target.kind.group,
            resource,
            namespace,
        }
    }
}

impl User {
    pub(crate) fn may(&self, ask: &Ask<'_>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|l| l == "*" || l == wanted);
        let Some(rules) = &self.rules else {
            return true;
        };
        rules.iter().any(|rule| {
            has(&rule.verbs, ask.verb)
                && has(&rule.groups, ask.group)
                && has(&rule.resources, &ask.resource)
                && rule.namespace.as_deref().is_none_or(|n| n == ask.namespace)
        })
    }

    /// RBAC's refusal.
    pub(crate) fn refusal(&self, kind: &Kind, target: &Target) -> ApiError {
        let ask = Ask::of(target);
        let scope = if target.kind.namespaced && !ask.namespace.is_empty() {
            format!("in the namespace {:?}", ask.namespace)
        } else {
            "at the cluster scope".to_owned()
        };
        let why = format!(
            "User {:?} cannot {} resource {:?} in API group {:?} {scope}",
            self.name, ask.verb, ask.resource, ask.group
        );
        ApiError::forbidden(kind, target.name.as_deref().unwrap_or_default(), &why)
    }

    /// The same for a review, which is no stored kind.
    pub(crate) fn refusal_of(&self, ask: &Ask<'_>) -> ApiError {
        let message = format!(
            "{}.{} is forbidden: User {:?} cannot {} resource {:?} in API group {:?} at the cluster scope",
            ask.resource, ask.group, self.name, ask.verb, ask.resource, ask.group
        );
        ApiError::new(403, "Forbidden", message)
    }

    /// `userInfo` of a self review.
    pub(crate) fn info(&self) -> Value {
        json!({ "username": self.name, "groups": self.groups })
    }
}

/// Credentials and whose they are.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    tokens: RwLock<HashMap<String, User>>,
    /// Client certificates that this server issued, by their DER bytes.
    certificates: RwLock<HashMap<Vec<u8>, User>>,
}

impl Credentials {
    pub(crate) fn add_token(&self, token: &str, user: User) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(token.to_owned(), user);
    }

    /// The user of that name who has a token.
    pub(crate) fn named(&self, name: &str) -> Option<User> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.values().find(|user| user.name == name).cloned()
    }

    pub(crate) fn add_certificate(&self, der: &[u8], user: User) {
        let mut known = self
            .certificates
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.insert(der.to_owned(), user);
    }

    /// Who sent this? `certificate` was verified against the server's CA by the handshake. Without
    /// TLS there are no credentials worth the name, and whoever reaches the port is admin.
    pub(crate) fn who(
        &self,
        headers: &HeaderMap,
        certificate: Option<&[u8]>,
        tls: bool,
    ) -> Result<User, ApiError> {
        if let Some(header) = headers.get(AUTHORIZATION) {
            let token = header.to_str().ok().and_then(|h| h.strip_prefix("Bearer "));
            let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
            return token
                .and_then(|t| tokens.get(t).cloned())
                .ok_or_else(ApiError::unauthorized);
        }
        if let Some(der) = certificate {
            let known = self
                .certificates
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            return known.get(der).cloned().ok_or_else(ApiError::unauthorized);
        }
        if tls {
            return Err(ApiError::unauthorized());
        }
        Ok(User::admin("admin"))
    }
}
