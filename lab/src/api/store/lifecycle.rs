//! How objects end: finalizers, pods that stop gracefully, and namespaces, which take everything in
//! them along and refuse what is new while they go.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Settings;
use super::admission::{now, uid};
use super::core::Inner;
use super::object::{Key, Object};
use crate::api::errors::ApiError;
use crate::api::kinds::{KINDS, Kind};

/// What a DELETE may ask for.
#[derive(Debug, Default, Clone)]
pub(crate) struct DeleteOptions {
    pub grace: Option<i64>,
    pub uid: Option<String>,
    pub version: Option<String>,
    pub dry_run: bool,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Deleted {
    Gone(Arc<Object>),
    /// Marked, and still there.
    Going(Arc<Object>),
}

/// The namespaces that a cluster cannot be without.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

pub(super) fn delete(
    inner: &mut Inner,
    settings: &Settings,
    kind: &'static Kind,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    let object = inner
        .get(kind, key)
        .ok_or_else(|| ApiError::not_found(kind, &key.name))?;
    check_preconditions(kind, key, &object, options)?;
    if kind.plural == "namespaces" && IMMORTAL.contains(&key.name.as_str()) {
        return Err(ApiError::forbidden(
            kind,
            &key.name,
            "this namespace may not be deleted",
        ));
    }
    if options.dry_run {
        return Ok(Deleted::Gone(object));
    }
    if kind.plural == "namespaces" {
        mark(
            inner,
            kind,
            key,
            &object,
            0,
            Some(json!({"phase": "Terminating"})),
        );
        for content in KINDS.iter().filter(|k| k.namespaced) {
            for held in inner.list(content, &key.name) {
                let options = DeleteOptions {
                    grace: options.grace,
                    ..DeleteOptions::default()
                };
                let held = Key::new(held.namespace(), held.name());
                // What cannot be found was taken along by something deleted before it.
                let _ = delete(inner, settings, content, &held, &options);
            }
        }
        bury_namespace(inner, &key.name);
        return Ok(match inner.get(kind, key) {
            Some(left) => Deleted::Going(left),
            None => Deleted::Gone(object),
        });
    }
    let grace = grace(settings, kind, &object.value, options);
    let finalizers = object.value["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|f| !f.is_empty());
    if grace > 0 || finalizers {
        return Ok(Deleted::Going(mark(inner, kind, key, &object, grace, None)));
    }
    remove(inner, kind, key)
        .map(Deleted::Gone)
        .ok_or_else(|| ApiError::not_found(kind, &key.name))
}

fn check_preconditions(
    kind: &Kind,
    key: &Key,
    object: &Object,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let uid = object.value["metadata"]["uid"].as_str().unwrap_or_default();
    if let Some(wanted) = options.uid.as_deref().filter(|w| *w != uid) {
        let why = format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        );
        return Err(ApiError::conflict(kind, &key.name, &why));
    }
    let version = object.version.to_string();
    if let Some(wanted) = options.version.as_deref().filter(|w| *w != version) {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {version}"
        );
        return Err(ApiError::conflict(kind, &key.name, &why));
    }
    Ok(())
}

/// Seconds a pod is given: only one that runs on a node, and only if somebody plays its kubelet.
fn grace(settings: &Settings, kind: &Kind, pod: &Value, options: &DeleteOptions) -> i64 {
    let runs = kind.plural == "pods"
        && pod["spec"]["nodeName"].is_string()
        && !matches!(
            pod["status"]["phase"].as_str(),
            Some("Succeeded" | "Failed")
        );
    if !settings.graceful_pods || !runs {
        return 0;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64();
    options.grace.or(own).unwrap_or(30).max(0)
}

/// Sets the deletion timestamp, once; a later deletion can only shorten the grace.
fn mark(
    inner: &mut Inner,
    kind: &Kind,
    key: &Key,
    object: &Arc<Object>,
    grace: i64,
    status: Option<Value>,
) -> Arc<Object> {
    let mut value = object.value.clone();
    let metadata = &mut value["metadata"];
    let before = metadata["deletionGracePeriodSeconds"].as_i64();
    if metadata["deletionTimestamp"].is_string() && before.is_none_or(|b| b <= grace) {
        return object.clone();
    }
    let at = Timestamp::now() + SignedDuration::from_secs(grace);
    metadata["deletionTimestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    if kind.plural != "namespaces" {
        metadata["deletionGracePeriodSeconds"] = grace.into();
    }
    if let Some(status) = status {
        value["status"] = status;
    }
    inner.put(kind, key, value)
}

/// Takes an object out, and its namespace too if that was waiting for it.
pub(super) fn remove(inner: &mut Inner, kind: &Kind, key: &Key) -> Option<Arc<Object>> {
    let gone = inner.remove(kind, key);
    if kind.namespaced {
        bury_namespace(inner, &key.namespace);
    }
    gone
}

/// An updated object that was only waiting for its finalizers.
pub(super) fn may_go(kind: &Kind, value: &Value) -> bool {
    let metadata = &value["metadata"];
    metadata["deletionTimestamp"].is_string()
        && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
        && kind.plural != "namespaces"
        && metadata["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or_default()
            == 0
}

/// Removes a namespace that is going and has become empty.
fn bury_namespace(inner: &mut Inner, name: &str) {
    let Some(kind) = Kind::by_plural("", "v1", "namespaces") else {
        return;
    };
    let key = Key::new("", name);
    let going = inner.get(kind, &key).is_some_and(|ns| {
        ns.value["metadata"]["deletionTimestamp"].is_string()
            && ns.value["metadata"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty)
    });
    let empty = || {
        KINDS
            .iter()
            .filter(|k| k.namespaced)
            .all(|k| inner.list(k, name).is_empty())
    };
    if going && empty() {
        inner.remove(kind, &key);
    }
}

/// May something be made in this namespace?
pub(super) fn namespace_accepts(inner: &Inner, kind: &Kind, key: &Key) -> Result<(), ApiError> {
    let Some(namespaces) = Kind::by_plural("", "v1", "namespaces").filter(|_| kind.namespaced)
    else {
        return Ok(());
    };
    let namespace = inner
        .get(namespaces, &Key::new("", &key.namespace))
        .ok_or_else(|| ApiError::not_found(namespaces, &key.namespace))?;
    if namespace.value["metadata"]["deletionTimestamp"].is_string() {
        let why = format!(
            "unable to create new content in namespace {} because it is being terminated",
            key.namespace
        );
        let mut error = ApiError::forbidden(kind, &key.name, &why);
        if let Some(details) = &mut error.details {
            details["causes"] = json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {} is being terminated", key.namespace),
                "field": "metadata.namespace",
            }]);
        }
        return Err(error);
    }
    Ok(())
}

/// A new namespace gets its default service account, as the controllers of a cluster would see to.
pub(super) fn after_insert(inner: &mut Inner, kind: &Kind, key: &Key) {
    if kind.plural != "namespaces" {
        return;
    }
    let Some(accounts) = Kind::by_plural("", "v1", "serviceaccounts") else {
        return;
    };
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": "default",
            "namespace": key.name,
            "uid": uid(),
            "creationTimestamp": now(),
        },
    });
    inner.put(accounts, &Key::new(&key.name, "default"), account);
}
