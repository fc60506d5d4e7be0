//! The manifests of some files as lint looks at them. Pure: names and texts come in.

use std::collections::BTreeMap;

use super::{Given, Input, Place};
use crate::manifest::{self, Ignored, Lines, Manifests, Mistake};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::{Cluster, Kind};

/// What some files hold.
#[derive(Debug, Clone, Default)]
pub struct Files {
    cluster: Cluster,
    objects: Vec<Given>,
    mistakes: Vec<Mistake>,
    ignored: Vec<(String, Ignored)>,
    texts: BTreeMap<String, String>,
}

impl Files {
    /// Reads files, given as name and text. Of an object that several files have, each is looked at;
    /// the last is part of the cluster, as `kubectl apply` would have it.
    #[must_use]
    pub fn read(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut files = Self::default();
        let mut all = Manifests::default();
        let mut workload_places = Vec::new();
        for (name, text) in texts {
            let found = manifest::read(&name, &text);
            files.mistakes.extend(found.mistakes);
            let ignored = found.ignored.into_iter();
            files.ignored.extend(ignored.map(|one| (name.clone(), one)));
            for object in found.objects {
                let place = place(&name, object.line, &object.lines);
                let (kind, id, value) = (object.kind(), &object.id, object.value.clone());
                files.give(kind, id.clone(), value, place);
                all.put(object);
            }
            for workload in found.workloads {
                workload_places.push(place(&name, workload.line, &workload.lines));
                all.workloads.push(workload);
            }
            files.texts.insert(name, text);
        }
        let completed = manifest::complete(&all.objects, &all.workloads);
        for object in completed.objects {
            files.cluster.apply(object);
        }
        let workloads = all.workloads.into_iter().zip(workload_places);
        for ((workload, place), pod) in workloads.zip(completed.stand_ins) {
            if let Some(pod) = pod {
                files.give(Kind::Pod, pod, workload.value, place);
            }
        }
        files
    }

    /// What [`super::check`] takes.
    #[must_use]
    pub fn input(&self) -> Input<'_> {
        Input {
            cluster: &self.cluster,
            objects: &self.objects,
            mistakes: &self.mistakes,
            ignored: &self.ignored,
            texts: &self.texts,
            whole: false,
        }
    }

    /// The text of a line, from 1.
    #[must_use]
    pub fn line(&self, file: &str, line: u64) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.texts.get(file)?.lines().nth(index)
    }

    fn give(&mut self, kind: Kind, id: ObjectRef, value: serde_json::Value, place: Place) {
        self.objects.push(Given {
            kind,
            id,
            value,
            place: Some(place),
        });
    }
}

fn place(file: &str, line: u64, lines: &Lines) -> Place {
    Place {
        file: file.to_owned(),
        line,
        lines: lines.clone(),
    }
}
