//! Manifests: YAML or JSON text, as people keep it in files, into the objects that are used here.
//!
//! A pure function of a file's name and its text. It reports every mistake at once, with document,
//! line and field, and goes on with the rest. Unknown fields of a NetworkPolicy are mistakes: a
//! `podselector` that nobody reads would silently select everything. A policy with a mistake is among
//! the objects all the same, as one that isolates. Next: [`complete()`] makes a cluster of them for
//! [`crate::policy::cluster`]; or they go to a server.

pub mod addresses;
mod complete;
pub mod endpoints;
mod kinds;
mod reader;
mod tree;
mod workload;

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

pub use self::complete::{Completed, complete};
pub use self::kinds::Body;
pub use self::tree::{Lines, Located, parse_document};
pub use self::workload::WorkloadManifest;
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Kind;
use crate::policy::cluster::objects::Object;

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// Objects of the kinds that are used, in the order of the file.
    pub objects: Vec<Manifest>,
    /// What makes pods, in the order of the file.
    pub workloads: Vec<WorkloadManifest>,
    /// Objects of other kinds.
    pub ignored: Vec<Ignored>,
    /// None of its documents has an `apiVersion` or a `kind`: the file is another program's. That
    /// is a mistake too, which who reads a whole folder may overlook.
    pub foreign: bool,
    /// All mistakes.
    pub mistakes: Vec<Mistake>,
}

/// An object of a kind that is used.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its namespace (empty for a Node or Namespace) and name.
    pub id: ObjectRef,
    /// The object as it was written, with its namespace filled in.
    pub value: Value,
    /// The object with its type.
    pub body: Body,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The lines of its fields.
    pub lines: Lines,
}

/// An object of a kind that no verdict needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its `kind`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The line on which it begins, from 1.
    pub line: u64,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    /// The file's name.
    pub file: String,
    /// Which document of the file, from 1.
    pub document: usize,
    /// The line, from 1.
    pub line: u64,
    /// The field, as in `spec.ingress[0].ports[1].port`; empty: the document as a whole.
    pub field: String,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{} (document {}): ",
            self.file, self.line, self.document
        )?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

impl Manifest {
    /// An object as a server gives it: no file, no lines. `Err`: it is not what its kind says.
    pub fn from_server(kind: Kind, mut value: Value) -> Result<Self, String> {
        let namespace = kinds::settle_namespace(kind, &mut value);
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        let id = ObjectRef {
            namespace,
            name: name.to_owned(),
        };
        let (body, mistakes) = kinds::body(kind, &value);
        let told = || {
            let told = mistakes.iter();
            let told: Vec<String> = told
                .map(|(field, text)| format!("{field}: {text}"))
                .collect();
            format!("{kind:?} {id}: {}", told.join("; "))
        };
        Ok(Self {
            body: body.ok_or_else(told)?,
            id,
            value,
            line: 0,
            lines: Lines::default(),
        })
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }

    /// The object as the index keeps it.
    #[must_use]
    pub fn object(&self) -> Object {
        Object::from(&self.body)
    }
}

impl Manifests {
    /// Adds an object; one of its kind and name is replaced where it stands, as `kubectl apply` would
    /// have it, and returned with its position.
    pub fn put(&mut self, object: Manifest) -> Option<(usize, Manifest)> {
        let same = |other: &Manifest| (other.kind(), &other.id) == (object.kind(), &object.id);
        let Some(at) = self.objects.iter().position(same) else {
            self.objects.push(object);
            return None;
        };
        let earlier = self.objects.get_mut(at)?;
        Some((at, std::mem::replace(earlier, object)))
    }
}

/// Reads a file's text. `file` is only a name for mistakes.
#[must_use]
pub fn read(file: &str, text: &str) -> Manifests {
    reader::read(file, &documents(text))
}

/// The objects of some files as a cluster would have them: a namespace that objects are in but that
/// no file defines exists all the same, with the one label that the API server gives to each.
#[must_use]
pub fn objects<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Vec<Object> {
    with_namespaces(manifests.into_iter().map(Manifest::object).collect())
}

/// The objects, and the namespaces that are missing.
fn with_namespaces(mut objects: Vec<Object>) -> Vec<Object> {
    let defined = objects
        .iter()
        .filter(|object| object.kind() == Kind::Namespace);
    let defined: BTreeSet<String> = defined.map(|object| object.id().name.clone()).collect();
    let used: BTreeSet<String> = objects
        .iter()
        .map(|object| object.id().namespace.clone())
        .collect();
    for name in used.difference(&defined).filter(|name| !name.is_empty()) {
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            ..ObjectMeta::default()
        };
        objects.push(Object::from(&Namespace {
            metadata,
            ..Namespace::default()
        }));
    }
    objects
}

/// Splits at `---`, which at the beginning of a line is always a document's end in YAML (YAML 1.2.2
/// §9.1.2) and never occurs in JSON. Each with its first line, from 1. They are parsed one by one, so
/// that a mistake in one does not hide those of the next.
fn documents(text: &str) -> Vec<(u64, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let marker = line.strip_prefix("---");
        if marker.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            documents.push((start_line, &text[start..at]));
            // What follows the marker on its own line belongs to the document: `--- # comment`.
            (start, start_line) = (at + 3, number);
        }
        at += line.len();
    }
    documents.push((start_line, &text[start..]));
    documents.retain(|(_, part)| !is_blank(part));
    documents
}

/// Only comments and empty lines.
fn is_blank(part: &str) -> bool {
    part.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "...")
}
