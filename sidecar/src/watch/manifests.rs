//! Policies from the YAML files of a directory, for use without an API server.
//!
//! All files are one cluster, loaded all or none: a file with a mistake keeps the last good state
//! in force and is named with its line. Before the first good load the pod is closed.
//!
//! The directory is looked at twice a second instead of through inotify: a ConfigMap volume changes
//! by swapping a symlink two levels up (`..data`), which a watch on the files does not see.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sidewall::manifest::{self, Manifest};
use sidewall::policy::cluster::Kind;
use sidewall::policy::cluster::objects::Object;
use sidewall_watch::item::Item;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::index::Index;
use super::slim::MODE_ANNOTATION;
use super::{Outlets, REMIND};

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
            _ = reminder.tick() => outlets.remind(),
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

/// All objects of all files, or everything that is wrong with them.
fn load(files: &BTreeMap<PathBuf, Stamp>) -> Result<Vec<Item>, String> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for path in files.keys() {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => {
                let read = manifest::read(&name, &text);
                wrong.extend(read.mistakes.iter().map(ToString::to_string));
                found.extend(read.objects);
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    if wrong.is_empty() {
        Ok(items(&found))
    } else {
        Err(wrong.join("; "))
    }
}

/// The objects for the index, each with the mode that its annotation asks for.
fn items(found: &[Manifest]) -> Vec<Item> {
    let mode = |object: &Object| {
        let of = |one: &&Manifest| one.kind() == object.kind() && one.id == *object.id();
        let annotations = &found.iter().find(of)?.value["metadata"]["annotations"];
        annotations[MODE_ANNOTATION].as_str().map(str::to_owned)
    };
    let with_mode = |object: Object| Item {
        mode: match object.kind() {
            Kind::Pod | Kind::Namespace => mode(&object),
            _ => None,
        },
        object,
        uid: None,
    };
    manifest::objects(found)
        .into_iter()
        .map(with_mode)
        .collect()
}

/// The own pod has the addresses that its interface has, unless its manifest says.
fn complete(items: &mut [Item], outlets: &Outlets) {
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
    fn objects_that_decide_are_taken_and_the_own_pod_completed() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("a.yaml"), WORLD).expect("written");
        let mut items = load(&state(directory.path()).expect("readable")).expect("objects");
        let outlets = outlets();
        complete(&mut items, &outlets);
        assert_eq!(
            items.len(),
            3,
            "pod, policy, and the namespace they live in"
        );
        let own = items
            .iter()
            .find(|item| item.object.kind() == Kind::Pod)
            .expect("a pod");
        assert_eq!(own.mode.as_deref(), Some("audit"));
        let Object::Pod(pod) = &own.object else {
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
        assert!(error.contains("b.yaml:2"), "{error}");
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
