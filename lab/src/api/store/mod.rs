//! The objects, and every way to change them: decode, default, validate, number, remember.
//!
//! A [`Store`] is used by the HTTP routes and, in the same process, by the lab that owns the server;
//! both go through the same admission, so an object written either way looks the same. Only
//! [`Store::put_raw`] goes around it, to test what clients do with an object they cannot decode.

mod admission;
mod core;
mod inside;
mod lifecycle;
mod object;

use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

pub(crate) use self::admission::{FieldValidation, Write, now};
pub(crate) use self::core::{Core, Snapshot};
pub(crate) use self::inside::furnish;
pub(crate) use self::lifecycle::{DeleteOptions, Deleted};
pub(crate) use self::object::{Change, Event, Key, Object, watch_line};
use super::errors::ApiError;
use super::kinds::Kind;
use super::{defaults, validate};

/// What the store is told at its start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub history: usize,
    pub service_ranges: Vec<IpNet>,
    pub graceful_pods: bool,
}

/// The server's objects.
#[derive(Debug)]
pub struct Store {
    core: Core,
    settings: Settings,
}

/// The outcome of a write.
#[derive(Debug)]
pub(crate) struct Written {
    pub object: Arc<Object>,
    pub warnings: Vec<String>,
    pub created: bool,
}

impl Store {
    pub(crate) fn new(settings: Settings) -> Store {
        Store {
            core: Core::new(settings.history),
            settings,
        }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn read(&self, kind: &Kind, key: &Key) -> Result<Arc<Object>, ApiError> {
        self.core
            .get(kind, key)
            .ok_or_else(|| ApiError::not_found(kind, &key.name))
    }

    /// Stores a new object.
    pub(crate) fn insert(
        &self,
        kind: &'static Kind,
        namespace: &str,
        value: Value,
        write: &Write<'_>,
    ) -> Result<Written, ApiError> {
        let (mut value, warnings) = admission::decode(kind, value, write)?;
        admission::new_metadata(kind, namespace, &mut value)?;
        defaults::apply(kind, &mut value, None);

        let mut inner = self.core.lock();
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        let key = Key::new(if kind.namespaced { namespace } else { "" }, name);
        lifecycle::namespace_accepts(&inner, kind, &key)?;
        if inner.get(kind, &key).is_some() {
            return Err(ApiError::already_exists(kind, &key.name));
        }
        if kind.plural == "services" {
            let others = inner.list(kind, "");
            defaults::service::allocate(kind, &mut value, &others, &self.settings.service_ranges)?;
        }
        validate::validate(kind, &value, None)?;
        write.track(kind, None, &mut value);
        let object = if write.dry_run {
            Object::at(value, 0)
        } else {
            let object = inner.put(kind, &key, value);
            lifecycle::after_insert(&mut inner, kind, &key);
            object
        };
        Ok(Written {
            object,
            warnings,
            created: true,
        })
    }

    /// Changes an object that exists. `change` makes the new object from the current one; it is run
    /// again when another writer was faster, unless it demands a version itself.
    pub(crate) fn change(
        &self,
        kind: &'static Kind,
        key: &Key,
        write: &Write<'_>,
        change: impl Fn(&Value) -> Result<Value, ApiError>,
    ) -> Result<Written, ApiError> {
        loop {
            let old = self.read(kind, key)?;
            let wanted = change(&old.value)?;
            let version = &wanted["metadata"]["resourceVersion"];
            if version
                .as_str()
                .is_some_and(|v| !v.is_empty() && v != old.version.to_string())
            {
                return Err(ApiError::modified(kind, &key.name));
            }
            let (mut value, warnings) = admission::decode(kind, wanted, write)?;
            admission::kept_metadata(kind, &old.value, &mut value, write.subresource)?;
            if write.subresource.is_none() {
                defaults::apply(kind, &mut value, Some(&old.value));
            }

            let mut inner = self.core.lock();
            match inner.get(kind, key) {
                Some(current) if Arc::ptr_eq(&current, &old) => {}
                _ => continue,
            }
            if kind.plural == "services" && write.subresource.is_none() {
                let others = inner.list(kind, "");
                defaults::service::allocate(
                    kind,
                    &mut value,
                    &others,
                    &self.settings.service_ranges,
                )?;
            }
            if write.subresource.is_none() {
                validate::validate(kind, &value, Some(&old.value))?;
            }
            admission::count_generation(kind, &old.value, &mut value);
            write.track(kind, Some(&old.value), &mut value);
            let unchanged = admission::same(&old.value, &value);
            let object = if unchanged {
                old
            } else if write.dry_run {
                Object::at(value, old.version)
            } else if lifecycle::may_go(kind, &value) {
                inner.put(kind, key, value);
                lifecycle::remove(&mut inner, kind, key).unwrap_or(old)
            } else {
                inner.put(kind, key, value)
            };
            return Ok(Written {
                object,
                warnings,
                created: false,
            });
        }
    }

    /// Deletes, or begins to: finalizers, graceful pods and a namespace's contents come first.
    pub(crate) fn remove(
        &self,
        kind: &'static Kind,
        key: &Key,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let mut inner = self.core.lock();
        lifecycle::delete(&mut inner, &self.settings, kind, key, options)
    }
}
