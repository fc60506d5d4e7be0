//! Manifests: YAML or JSON text, as people keep it in files, into the objects that are used here.
//!
//! A pure function of a file's name and its text. It reports every mistake at once, with document,
//! line and field, and goes on with the rest. Unknown fields of a NetworkPolicy are mistakes: a
//! `podselector` that nobody reads would silently select everything. A policy with a mistake is among
//! the objects all the same, as one that isolates. Next: [`crate::policy::cluster`], or a server.

mod kinds;
mod tree;

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

pub use self::kinds::Body;
pub use self::tree::Lines;
use self::tree::Located;
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Kind;
use crate::policy::cluster::objects::Object;

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// Objects of the kinds that are used, in the order of the file.
    pub objects: Vec<Manifest>,
    /// Objects of other kinds.
    pub ignored: Vec<Ignored>,
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

/// Reads a file's text. `file` is only a name for mistakes.
#[must_use]
pub fn read(file: &str, text: &str) -> Manifests {
    let mut reader = Reader {
        file,
        document: 0,
        found: Manifests::default(),
    };
    for (first_line, part) in documents(text) {
        reader.document += 1;
        match tree::parse(part, first_line) {
            Ok(Some(root)) => reader.object(&root, "", None),
            Ok(None) => {}
            Err((line, problem)) => reader.mistake(line, String::new(), problem),
        }
    }
    reader.found
}

/// The objects of some files as a cluster would have them: a namespace that objects are in but that
/// no file defines exists all the same, with the one label that the API server gives to each.
#[must_use]
pub fn objects<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Vec<Object> {
    let mut objects: Vec<Object> = manifests.into_iter().map(Manifest::object).collect();
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

/// What a reading has found so far.
struct Reader<'a> {
    file: &'a str,
    document: usize,
    found: Manifests,
}

impl Reader<'_> {
    /// An object, or a list of objects. `inherited` is what a typed list says of its items.
    fn object(&mut self, node: &Located, path: &str, inherited: Option<(&str, &str)>) {
        let Some((api_version, kind)) = self.type_of(node, path, inherited) else {
            return;
        };
        if let Some(of) = kind
            .strip_suffix("List")
            .filter(|_| node.get("items").is_some())
        {
            let typed = (!of.is_empty()).then_some((api_version.as_str(), of));
            for (index, item) in node
                .get("items")
                .into_iter()
                .flat_map(Located::items)
                .enumerate()
            {
                self.object(item, &join(path, &format!("items[{index}]")), typed);
            }
            return;
        }
        let mut value = node.to_value();
        let name = value["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let Some(known) = kinds::known(&api_version, &kind) else {
            let line = node.line;
            self.found.ignored.push(Ignored {
                api_version,
                kind,
                name,
                line,
            });
            return;
        };
        let namespace = kinds::settle_namespace(known, &mut value);
        let id = ObjectRef { namespace, name };
        if id.name.is_empty() && known != Kind::NetworkPolicy {
            let field = join(path, "metadata.name");
            self.mistake(
                node.line_of("metadata.name"),
                field,
                "Required value: name is required".to_owned(),
            );
            return;
        }
        let (body, mistakes) = kinds::body(known, &value);
        for (field, problem) in mistakes {
            self.mistake(node.line_of(&field), join(path, &field), problem);
        }
        if let Some(body) = body {
            self.check_twice(&id, known, node, path);
            self.found.objects.push(Manifest {
                id,
                value,
                body,
                line: node.line,
                lines: Lines::from(node),
            });
        }
    }

    /// `apiVersion` and `kind`, or a mistake.
    fn type_of(
        &mut self,
        node: &Located,
        path: &str,
        inherited: Option<(&str, &str)>,
    ) -> Option<(String, String)> {
        if !node.is_map() {
            self.mistake(
                node.line,
                path.to_owned(),
                "an object was expected".to_owned(),
            );
            return None;
        }
        let text = |name| node.get(name).and_then(Located::text);
        let api_version = text("apiVersion").or(inherited.map(|(api_version, _)| api_version));
        let kind = text("kind").or(inherited.map(|(_, kind)| kind));
        if let (Some(api_version), Some(kind)) = (api_version, kind) {
            return Some((api_version.to_owned(), kind.to_owned()));
        }
        for (name, value) in [("apiVersion", api_version), ("kind", kind)] {
            if value.is_none() {
                let problem = format!("Required value: {name} is required");
                self.mistake(node.line_of(name), join(path, name), problem);
            }
        }
        None
    }

    /// One file that says two things of one object says neither clearly.
    fn check_twice(&mut self, id: &ObjectRef, kind: Kind, node: &Located, path: &str) {
        let earlier = self
            .found
            .objects
            .iter()
            .find(|other| other.kind() == kind && other.id == *id);
        if let Some(line) = earlier.map(|earlier| earlier.line) {
            let problem = format!("{kind:?} {id} is already defined on line {line}");
            self.mistake(node.line, path.to_owned(), problem);
        }
    }

    fn mistake(&mut self, line: u64, field: String, problem: String) {
        let (file, document) = (self.file.to_owned(), self.document);
        self.found.mistakes.push(Mistake {
            file,
            document,
            line,
            field,
            problem,
        });
    }
}

fn join(path: &str, field: &str) -> String {
    match (path, field) {
        ("", field) => field.to_owned(),
        (path, "") => path.to_owned(),
        (path, field) => format!("{path}.{field}"),
    }
}
