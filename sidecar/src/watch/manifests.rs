//! Policies from the YAML files of a directory, for use without an API server.
//!
//! All files are one cluster, loaded all or none: a file with a mistake keeps the last good state
//! in force and is named with its line. Before the first good load the pod is closed.
//!
//! The directory is looked at twice a second instead of through inotify: a ConfigMap volume changes
//! by swapping a symlink two levels up (`..data`), which a watch on the files does not see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::convert::AnyPolicy;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::index::{Index, Item, Outlets};
use super::{REMIND, item};

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// More than this is not a directory of manifests.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Loads the directory, and again whenever it changes, until it is dropped.
pub async fn manifests(directory: PathBuf, outlets: Outlets) {
    let mut index = Index::new(outlets.clone());
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reminder = interval(REMIND);
    let mut seen = None;
    loop {
        tokio::select! {
            _ = look.tick() => {
                let now = state(&directory);
                if seen.as_ref() == Some(&now) {
                    continue;
                }
                let at = Instant::now();
                match now.as_ref().map_err(Clone::clone).and_then(load) {
                    Ok(mut items) => {
                        complete(&mut items, &outlets);
                        index.replace(items, at);
                        index.publish();
                    }
                    Err(problem) => index.refuse(problem),
                }
                seen = Some(now);
            }
            _ = reminder.tick() => index.remind(),
        }
    }
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
}

/// The manifests of a directory, by path, or why it cannot be read.
fn state(directory: &Path) -> Result<BTreeMap<PathBuf, Stamp>, String> {
    let unreadable = |error: io::Error| {
        format!(
            "the manifests in {} cannot be read: {error}",
            directory.display()
        )
    };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let wanted = path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|one| extension == *one));
        if !wanted {
            continue;
        }
        // Follows symlinks, as a ConfigMap volume needs.
        let metadata = fs::metadata(&path).map_err(unreadable)?;
        if metadata.is_file() {
            let stamp = Stamp {
                modified: metadata.modified().ok(),
                size: metadata.len(),
            };
            files.insert(path, stamp);
        }
    }
    let size: u64 = files.values().map(|stamp| stamp.size).sum();
    if size > MOST_BYTES {
        return Err(format!(
            "the manifests in {} are {size} bytes, more than {MOST_BYTES}",
            directory.display()
        ));
    }
    Ok(files)
}

/// All objects of all files, or what is wrong with the first that cannot be read.
fn load(files: &BTreeMap<PathBuf, Stamp>) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    for path in files.keys() {
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        items.extend(parse(&text).map_err(|error| wrong(&error))?);
    }
    Ok(items)
}

/// The objects of one text that decide over traffic; others are left out.
fn parse(text: &str) -> Result<Vec<Item>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let mut items = Vec::new();
    for document in documents {
        open(document, &mut items)?;
    }
    Ok(items)
}

/// Takes an object, or the items of a list.
fn open(document: Value, items: &mut Vec<Item>) -> Result<(), String> {
    if document.is_null() {
        return Ok(());
    }
    let Some(kind) = document["kind"].as_str() else {
        return Err("a document has no kind, so it is no Kubernetes object".to_owned());
    };
    let name = document["metadata"]["name"].as_str().unwrap_or("?");
    let about = format!("{kind} {name}");
    let item = match kind {
        "NetworkPolicy" => Item {
            object: Object::from(AnyPolicy::from_value(&document)),
            mode: None,
        },
        "Namespace" => typed::<Namespace>(document, &about)?,
        "Pod" => typed::<Pod>(document, &about)?,
        "Service" => typed::<Service>(document, &about)?,
        "EndpointSlice" => typed::<EndpointSlice>(document, &about)?,
        _ => {
            if let (true, Value::Array(list)) = (kind.ends_with("List"), &document["items"]) {
                for object in list {
                    open(object.clone(), items)?;
                }
            }
            return Ok(());
        }
    };
    items.push(item);
    Ok(())
}

fn typed<K>(document: Value, about: &str) -> Result<Item, String>
where
    K: DeserializeOwned + Metadata<Ty = ObjectMeta>,
    for<'a> Object: From<&'a K>,
{
    serde_json::from_value::<K>(document)
        .map(|object| item(&object))
        .map_err(|error| format!("{about}: {error}"))
}

/// Namespaces that objects live in exist, whether a file says so or not, as they would in a
/// cluster; and the own pod has the addresses that its interface has, unless its manifest says.
fn complete(items: &mut Vec<Item>, outlets: &Outlets) {
    let declared: BTreeSet<String> = items
        .iter()
        .filter(|item| matches!(item.object, Object::Namespace(_)))
        .map(|item| item.object.id().name.clone())
        .collect();
    let used: BTreeSet<String> = items
        .iter()
        .map(|item| item.object.id().namespace.clone())
        .filter(|namespace| !namespace.is_empty() && !declared.contains(namespace))
        .collect();
    for name in used {
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        items.push(item(&namespace));
    }
    for item in items {
        if let Object::Pod(pod) = &mut item.object
            && pod.id == outlets.pod
            && pod.addresses.is_empty()
        {
            pod.addresses.clone_from(&outlets.addresses);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const WORLD: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}, annotations: {sidewall.dev/mode: audit}}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}
---
# nothing
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}}
";

    fn outlets() -> Outlets {
        super::super::testing::outlets()
    }

    #[test]
    fn objects_that_decide_are_taken_from_lists_and_documents() {
        let mut items = parse(WORLD).expect("objects");
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].mode.as_deref(), Some("audit"));
        let outlets = outlets();
        complete(&mut items, &outlets);
        assert_eq!(items.len(), 3, "and the namespace they live in");
        let Object::Pod(pod) = &items[0].object else {
            panic!("a pod")
        };
        assert_eq!(pod.addresses, outlets.addresses);
    }

    #[test]
    fn a_broken_file_is_named_with_its_line() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("a.yaml"), WORLD).expect("written");
        fs::write(
            directory.path().join("b.yaml"),
            "kind: Pod\nmetadata: {name: [}\n",
        )
        .expect("written");
        fs::write(directory.path().join("README.md"), "{").expect("written");
        let files = state(directory.path()).expect("readable");
        assert_eq!(files.len(), 2);
        let error = load(&files).expect_err("broken");
        assert!(
            error.contains("b.yaml") && error.contains("line 2"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_file_keeps_the_last_good_state_and_a_good_one_takes_its_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("all.yaml");
        let outlets = outlets();
        let (published, status) = (Arc::clone(&outlets.published), Arc::clone(&outlets.status));
        fs::write(&file, "kind: [").expect("written");
        let task = tokio::spawn(manifests(directory.path().to_owned(), outlets));
        tokio::time::sleep(LOOK).await;
        assert!(
            published.in_force().is_none(),
            "closed before the first good load"
        );
        assert!(status.problem().expect("a problem").contains("all.yaml"));

        fs::write(&file, WORLD).expect("written");
        tokio::time::sleep(LOOK * 2).await;
        let first = published.in_force().expect("in force");
        assert_eq!(first.list.ingress.isolated_by.len(), 1);
        assert_eq!(first.mode, sidewall::engine::Mode::Audit);
        assert_eq!(status.problem(), None);

        fs::write(&file, "kind: [ broken again").expect("written");
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(
            published.in_force().expect("in force").generation,
            first.generation
        );
        assert!(status.problem().is_some());

        fs::write(
            &file,
            WORLD.replace("podSelector: {}", "podSelector: {matchLabels: {app: web}}"),
        )
        .expect("written");
        tokio::time::sleep(LOOK * 2).await;
        let last = published.in_force().expect("in force");
        assert_eq!(last.generation, first.generation + 1);
        assert!(last.list.ingress.isolated_by.is_empty());
        task.abort();
    }
}
