//! Documents of a file, object by object: what each is, and what is wrong with it.

use serde_json::Value;

use super::tree::{self, Located};
use super::workload::{self, WorkloadManifest};
use super::{Ignored, Lines, Manifest, Manifests, Mistake, kinds};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Kind;

/// Reads the documents of a file, each with its first line.
pub(super) fn read(file: &str, documents: &[(u64, &str)]) -> Manifests {
    let mut reader = Reader {
        file,
        document: 0,
        typed: 0,
        found: Manifests::default(),
    };
    for &(first_line, part) in documents {
        reader.document += 1;
        match tree::parse_document(part, first_line) {
            Ok(Some(root)) => reader.object(&root, "", None),
            Ok(None) => {}
            Err((line, problem)) => {
                reader.typed += 1;
                reader.mistake(line, String::new(), problem);
            }
        }
    }
    reader.found.foreign = reader.document > 0 && reader.typed == 0;
    reader.found
}

/// What a reading has found so far.
struct Reader<'a> {
    file: &'a str,
    document: usize,
    /// Documents that say what they are, or may.
    typed: usize,
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
            if self.workload(node, path, (&api_version, &kind), &name, &mut value) {
                return;
            }
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

    /// Takes what makes pods. `false`: it does not, or has no template to make them from.
    fn workload(
        &mut self,
        node: &Located,
        path: &str,
        (api_version, kind): (&str, &str),
        name: &str,
        value: &mut Value,
    ) -> bool {
        let Some(template_path) = workload::template_path(api_version, kind) else {
            return false;
        };
        let pointer = format!("/{}", template_path.replace('.', "/"));
        if name.is_empty() || value.pointer(&pointer).is_none_or(Value::is_null) {
            return false;
        }
        let namespace = kinds::settle_namespace(Kind::Pod, value);
        let id = ObjectRef {
            namespace,
            name: name.to_owned(),
        };
        let template = value.pointer(&pointer).unwrap_or(&Value::Null);
        match workload::pod(api_version, kind, &id, template) {
            Ok(pod) => self.found.workloads.push(WorkloadManifest {
                id,
                kind: kind.to_owned(),
                owner: workload::owner(value),
                pod,
                line: node.line,
                lines: Lines::from(node),
                value: std::mem::take(value),
            }),
            Err((field, problem)) => {
                let field = join(template_path, &field);
                self.mistake(node.line_of(&field), join(path, &field), problem);
            }
        }
        true
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
        self.typed += usize::from(api_version.is_some() || kind.is_some());
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
