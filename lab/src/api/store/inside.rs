//! The store as the lab's own code uses it: objects as JSON values, kinds by name, no HTTP.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Store;
use super::admission::{FieldValidation, Write};
use super::lifecycle::DeleteOptions;
use super::object::Key;
use crate::api::errors::ApiError;
use crate::api::kinds::{KINDS, Kind};

/// How the lab writes: strictly, and without leaving traces in `managedFields`.
const INSIDE: Write<'static> = Write {
    validation: FieldValidation::Strict,
    dry_run: false,
    manager: "lab",
    subresource: None,
    tracked: false,
    applied: false,
};

const STATUS: Write<'static> = Write {
    subresource: Some("status"),
    ..INSIDE
};

impl Store {
    /// Creates an object; a namespaced one that names no namespace goes to `default`.
    pub fn create(&self, object: Value) -> Result<Value, ApiError> {
        let kind = kind_of(&object)?;
        let namespace = namespace_of(kind, &object);
        let written = self.insert(kind, &namespace, object, &INSIDE)?;
        Ok(written.object.value.clone())
    }

    /// Creates an object, or makes the stored one like it: a merge of maps, lists replaced. What
    /// `status` the object brings is written too.
    pub fn apply(&self, mut object: Value) -> Result<Value, ApiError> {
        let kind = kind_of(&object)?;
        let namespace = namespace_of(kind, &object);
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let status = object
            .as_object_mut()
            .filter(|_| kind.status)
            .and_then(|o| o.remove("status"));
        let key = key(kind, &namespace, &name);
        let mut stored = match self.insert(kind, &namespace, object.clone(), &INSIDE) {
            Err(e) if e.reason == "AlreadyExists" => self.change(kind, &key, &INSIDE, |old| {
                let mut new = old.clone();
                json_patch::merge(&mut new, &object);
                Ok(new)
            })?,
            other => other?,
        };
        if let Some(status) = status {
            stored = self.merge_status(kind, &key, &status)?;
        }
        Ok(stored.object.value.clone())
    }

    /// Replaces an object; its `resourceVersion`, if it has one, must be the current one.
    pub fn replace(&self, object: Value) -> Result<Value, ApiError> {
        let kind = kind_of(&object)?;
        let namespace = namespace_of(kind, &object);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let written = self.change(kind, &key(kind, &namespace, name), &INSIDE, |_| {
            Ok(object.clone())
        })?;
        Ok(written.object.value.clone())
    }

    /// Merges (RFC 7396) into the status of an object, e.g. `{"phase": "Running"}`.
    pub fn set_status(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        status: &Value,
    ) -> Result<Value, ApiError> {
        let kind = kind_named(kind)?;
        let written = self.merge_status(kind, &key(kind, namespace, name), status)?;
        Ok(written.object.value.clone())
    }

    /// Merges (RFC 7396) into an object.
    pub fn merge(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, ApiError> {
        let kind = kind_named(kind)?;
        let written = self.change(kind, &key(kind, namespace, name), &INSIDE, |old| {
            let mut new = old.clone();
            json_patch::merge(&mut new, patch);
            Ok(new)
        })?;
        Ok(written.object.value.clone())
    }

    /// The object, if it is there. `kind` is its name, e.g. `Pod`; the namespace of cluster objects is empty.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = kind_named(kind).ok()?;
        let object = self.core().get(kind, &key(kind, namespace, name))?;
        Some(object.value.clone())
    }

    /// All objects of a kind in a namespace, or everywhere for the empty one.
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let Ok(kind) = kind_named(kind) else {
            return Vec::new();
        };
        let objects = self.core().list(kind, namespace).objects;
        objects.iter().map(|o| o.value.clone()).collect()
    }

    /// Deletes at once, without a grace period; finalizers still hold it.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<(), ApiError> {
        let kind = kind_named(kind)?;
        let options = DeleteOptions {
            grace: Some(0),
            ..DeleteOptions::default()
        };
        self.remove(kind, &key(kind, namespace, name), &options)
            .map(drop)
    }

    /// Puts anything with a name into the store, past decoding, defaulting and validation: to see what
    /// clients do with an object that they cannot read.
    pub fn put_raw(&self, kind: &str, mut object: Value) -> Result<(), ApiError> {
        let kind = kind_named(kind)?;
        let namespace = namespace_of(kind, &object);
        let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) else {
            return Err(ApiError::bad_request("name is required"));
        };
        if kind.namespaced {
            object["metadata"]["namespace"] = json!(namespace);
        }
        self.core()
            .lock()
            .put(kind, &key(kind, &namespace, &name), object);
        Ok(())
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.core().version()
    }

    fn merge_status(
        &self,
        kind: &'static Kind,
        key: &Key,
        status: &Value,
    ) -> Result<super::Written, ApiError> {
        self.change(kind, key, &STATUS, |old| {
            let mut new = old.clone();
            json_patch::merge(&mut new, &json!({ "status": status }));
            Ok(new)
        })
    }
}

/// The namespaces and the one service that every cluster has.
pub(crate) fn furnish(store: &Arc<Store>, api_port: u16) -> Result<(), ApiError> {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        store
            .create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    }
    let first = store
        .settings
        .service_ranges
        .first()
        .and_then(|r| r.hosts().next());
    let Some(first) = first else {
        return Ok(());
    };
    store
        .create(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "kubernetes", "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"}
            },
            "spec": {
                "clusterIP": first.to_string(),
                "ports": [{"name": "https", "port": 443, "targetPort": api_port}]
            }
        }))
        .map(drop)
}

fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
    Key::new(if kind.namespaced { namespace } else { "" }, name)
}

fn kind_of(object: &Value) -> Result<&'static Kind, ApiError> {
    Kind::of(object).ok_or_else(ApiError::no_such_resource)
}

fn kind_named(name: &str) -> Result<&'static Kind, ApiError> {
    KINDS
        .iter()
        .find(|k| k.kind == name)
        .ok_or_else(ApiError::no_such_resource)
}

fn namespace_of(kind: &Kind, object: &Value) -> String {
    let given = object["metadata"]["namespace"]
        .as_str()
        .filter(|n| !n.is_empty());
    match kind.namespaced {
        true => given.unwrap_or("default").to_owned(),
        false => String::new(),
    }
}
