//! Where the pods are in an object: a Pod is one, a Deployment has the template of one, a List
//! has many.

use super::tree::Node;

/// Kinds that have a pod template, the groups they are known in, and where it is.
const TEMPLATES: [(&str, &[&str], &[&str]); 9] = [
    ("Pod", &[""], &[]),
    ("PodTemplate", &[""], &["template"]),
    ("ReplicationController", &[""], &["spec", "template"]),
    ("Deployment", &["apps", "extensions"], &["spec", "template"]),
    ("ReplicaSet", &["apps", "extensions"], &["spec", "template"]),
    ("DaemonSet", &["apps", "extensions"], &["spec", "template"]),
    ("StatefulSet", &["apps"], &["spec", "template"]),
    ("Job", &["batch"], &["spec", "template"]),
    (
        "CronJob",
        &["batch"],
        &["spec", "jobTemplate", "spec", "template"],
    ),
];

/// One object of a manifest, as a report names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The kind.
    pub kind: String,
    /// The namespace, where it is said.
    pub namespace: Option<String>,
    /// The name, or what its name will begin with.
    pub name: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Visits every object of a document, those of Lists one by one, with the place of its pod
/// template if its kind has one. A template that is not there is `Some(None)`.
pub fn visit(document: &mut Node, see: &mut impl FnMut(&Name, Option<Option<&mut Node>>)) {
    let kind = text(document, &["kind"]).unwrap_or_default().to_owned();
    if kind.ends_with("List") && document.get("items").is_some() {
        if let Some(Node::List(items)) = document.at_mut(&["items"]) {
            for item in items {
                visit(item, see);
            }
        }
        return;
    }
    let name = name(document, kind);
    match path(document) {
        None => see(&name, None),
        Some(path) => {
            let template = document.at_mut(path);
            see(&name, Some(template.filter(|node| node.as_map().is_some())));
        }
    }
}

fn path(object: &Node) -> Option<&'static [&'static str]> {
    let kind = text(object, &["kind"])?;
    let version = text(object, &["apiVersion"])?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let known = TEMPLATES
        .iter()
        .find(|(known, groups, _)| *known == kind && groups.contains(&group));
    known.map(|(_, _, path)| *path)
}

fn name(object: &Node, kind: String) -> Name {
    let name = text(object, &["metadata", "name"]);
    let begins = text(object, &["metadata", "generateName"]);
    Name {
        kind: if kind.is_empty() {
            "object".to_owned()
        } else {
            kind
        },
        namespace: text(object, &["metadata", "namespace"]).map(str::to_owned),
        name: name.or(begins).unwrap_or("(unnamed)").to_owned(),
    }
}

fn text<'a>(object: &'a Node, path: &[&str]) -> Option<&'a str> {
    object.at(path)?.as_str()
}
