//! Where the cluster comes from: manifests, or a running cluster. Every command that reads a cluster
//! takes [`SourceArgs`] and gets a [`Source`]; it cannot tell which of the two it was.
//!
//! [`files`] reads manifests (what they mean is in [`sidewall::manifest`]), [`live`] asks an API
//! server, [`workloads`] groups the pods. Next: the command asks [`sidewall::policy::reach`].

mod cluster;
mod error;
mod files;
mod live;
mod ports;
mod workloads;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use sidewall::manifest::{self, Lines, Manifest, Manifests};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::cluster::{Cluster, Kind};

pub(crate) use self::cluster::ClusterArgs;
pub(crate) use self::error::{LoadError, Problem};
pub(crate) use self::files::File;
pub(crate) use self::ports::ContainerPort;
pub(crate) use self::workloads::WorkloadPods;

/// Flags shared by every command that reads a cluster.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Where the cluster comes from")]
pub(crate) struct SourceArgs {
    /// YAML or JSON files; a folder is read with all its folders, - is standard input. May be repeated.
    #[arg(long, value_name = "FILE|DIR|-")]
    pub(crate) manifests: Vec<PathBuf>,
    /// The kubeconfig of a running cluster, where no manifests are given.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Namespaces, pods (also those that stand in for workloads), policies, Services, endpoint slices,
    /// nodes, all with addresses.
    pub(crate) cluster: Cluster,
    /// Groups of equal pods, each with what makes them, by namespace, kind and name.
    pub(crate) workloads: Vec<WorkloadPods>,
    /// Where each object is written; empty for a live cluster. A pod that stands in for a workload is
    /// where the workload is.
    pub(crate) written: BTreeMap<(Kind, ObjectRef), Written>,
    /// Objects as they are given. A pod that stands in for a workload is not among them, its
    /// workload's value is.
    pub(crate) raw: Vec<Raw>,
    /// Where pods are in `raw`.
    raw_pods: BTreeMap<ObjectRef, usize>,
    /// Remarks worth a line on standard error.
    pub(crate) notes: Vec<String>,
}

/// A place in a file.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// As it was given, or found in a folder.
    pub(crate) file: String,
    /// The lines of its fields, and its own.
    pub(crate) lines: Lines,
}

impl Written {
    /// `file:line` of a field such as `spec.ingress[0]`; of the object for an empty one.
    pub(crate) fn at(&self, field: &str) -> String {
        format!("{}:{}", self.file, self.lines.of(field))
    }
}

/// An object as it is given.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    /// What it is to the engine; a workload counts as its pod.
    pub(crate) kind: Kind,
    /// Namespace and name; of a workload, those of the pod that stands in for it.
    pub(crate) id: ObjectRef,
    /// The object, with its own `kind`.
    pub(crate) value: Value,
}

impl SourceArgs {
    /// Reads everything. An error lists all mistakes, one per line.
    pub(crate) async fn load(&self) -> Result<Source, LoadError> {
        let (source, mistakes) = self.load_with_mistakes().await?;
        if mistakes.is_empty() {
            return Ok(source);
        }
        let problems = mistakes.into_iter().map(Problem::Mistake).collect();
        Err(LoadError { problems })
    }

    /// Reads everything that can be understood, and tells the mistakes in the manifests beside it. A
    /// policy with a mistake is part of the cluster: it isolates.
    pub(crate) async fn load_with_mistakes(
        &self,
    ) -> Result<(Source, Vec<manifest::Mistake>), LoadError> {
        if self.manifests.is_empty() {
            let client = kube::Client::try_from(self.config().await?);
            let client = client.map_err(|why| Problem::NoCluster(why.to_string()))?;
            return Ok((live::load(client).await?, Vec::new()));
        }
        Ok(Source::from_files(self.files()?))
    }

    /// The files that `--manifests` names, unread.
    pub(crate) fn files(&self) -> Result<Vec<File>, LoadError> {
        files::read(&self.manifests)
    }

    /// The same flags as they must be typed again, for hints that print commands.
    pub(crate) fn as_typed(&self) -> String {
        let mut words = Vec::new();
        for path in &self.manifests {
            words.push(format!("--manifests {}", path.display()));
        }
        if let Some(path) = &self.kubeconfig {
            words.push(format!("--kubeconfig {}", path.display()));
        }
        if let Some(context) = &self.context {
            words.push(format!("--context {context}"));
        }
        words.join(" ")
    }

    /// A client for commands that talk to the cluster themselves.
    pub(crate) async fn client(&self) -> anyhow::Result<kube::Client> {
        Ok(kube::Client::try_from(self.config().await?)?)
    }

    async fn config(&self) -> Result<kube::Config, LoadError> {
        live::config(self.kubeconfig.as_deref(), self.context.as_deref()).await
    }
}

impl Source {
    /// The cluster that some files describe, and all their mistakes.
    pub(crate) fn from_files(files: Vec<File>) -> (Self, Vec<manifest::Mistake>) {
        let mut source = Self::default();
        let mut mistakes = Vec::new();
        let mut all = Manifests::default();
        let mut places: Vec<String> = Vec::new();
        let mut workload_places: Vec<String> = Vec::new();
        let mut ignored = BTreeMap::<String, usize>::new();
        for file in files {
            let found = manifest::read(&file.name, &file.text);
            if found.foreign && file.found_in_folder {
                let note = format!("{} holds no Kubernetes objects and was left out", file.name);
                source.notes.push(note);
                continue;
            }
            mistakes.extend(found.mistakes);
            for one in found.ignored {
                *ignored.entry(one.kind).or_default() += 1;
            }
            for object in found.objects {
                source.take(object, &file.name, &mut all, &mut places);
            }
            for workload in found.workloads {
                let same = |other: &&mut manifest::WorkloadManifest| {
                    (&other.id, &other.kind) == (&workload.id, &workload.kind)
                };
                let earlier = all.workloads.iter_mut().find(same);
                match earlier {
                    Some(earlier) => *earlier = workload,
                    None => {
                        workload_places.push(file.name.clone());
                        all.workloads.push(workload);
                    }
                }
            }
        }
        if !ignored.is_empty() {
            let kinds = ignored
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"));
            let kinds: Vec<String> = kinds.collect();
            let note = format!("not looked at: {}", kinds.join(", "));
            source.notes.push(note);
        }
        source.fill(&all, &places, &workload_places);
        (source, mistakes)
    }

    /// The cluster that a text describes.
    #[cfg(test)]
    pub(crate) fn from_text(name: &str, text: &str) -> (Self, Vec<manifest::Mistake>) {
        Self::from_files(vec![File::named(name, text.to_owned())])
    }

    /// An object that an earlier file has too takes its place, and both are named.
    fn take(
        &mut self,
        object: Manifest,
        file: &str,
        into: &mut Manifests,
        places: &mut Vec<String>,
    ) {
        let Some((at, earlier)) = into.put(object) else {
            return places.push(file.to_owned());
        };
        if let (Some(object), Some(place)) = (into.objects.get(at), places.get_mut(at)) {
            if earlier.value != object.value {
                self.notes.push(format!(
                    "{:?} {} of {place} is replaced by {file}:{}",
                    object.kind(),
                    object.id,
                    object.line
                ));
            }
            file.clone_into(place);
        }
    }

    fn keep(&mut self, kind: Kind, id: ObjectRef, value: Value) {
        if kind == Kind::Pod {
            self.raw_pods.insert(id.clone(), self.raw.len());
        }
        self.raw.push(Raw { kind, id, value });
    }

    fn fill(&mut self, all: &Manifests, places: &[String], workload_places: &[String]) {
        let completed = manifest::complete(&all.objects, &all.workloads);
        for object in completed.objects {
            self.cluster.apply(object);
        }
        for (object, file) in all.objects.iter().zip(places) {
            let key = (object.kind(), object.id.clone());
            let (file, lines) = (file.clone(), object.lines.clone());
            self.written.insert(key, Written { file, lines });
            self.keep(object.kind(), object.id.clone(), object.value.clone());
        }
        let workloads = all.workloads.iter().zip(workload_places);
        for ((workload, file), pod) in workloads.zip(completed.stand_ins) {
            let Some(pod) = pod else { continue };
            let (file, lines) = (file.clone(), workload.lines.clone());
            let key = (Kind::Pod, pod.clone());
            self.written.insert(key, Written { file, lines });
            self.keep(Kind::Pod, pod, workload.value.clone());
        }
        self.workloads = workloads::group(&self.cluster);
    }
}

#[cfg(test)]
mod tests;
