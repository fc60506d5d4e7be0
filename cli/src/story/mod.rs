//! A story: a small cluster, and steps that apply policies and say what must then happen. Data, not
//! code: `examples/<name>/story.yaml` beside the manifests it names. The demo plays it in the lab.

pub(crate) mod builtin;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use sidewall::net::{Direction, Protocol};
use sidewall::policy::allow_list::ObjectRef;

use crate::expect::Expect;

/// A language of the teaching texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Language {
    /// English.
    #[default]
    En,
    /// 日本語.
    Ja,
}

/// One text in every language.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    en: String,
    ja: String,
}

impl Text {
    pub(crate) fn get(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ja => &self.ja,
        }
    }
}

/// A story, read and checked: every file it names is at hand.
#[derive(Debug)]
pub(crate) struct Story {
    /// The folder in which its files are, as a person in a checkout would type it.
    pub(crate) folder: PathBuf,
    pub(crate) title: Text,
    pub(crate) cluster: Vec<Manifest>,
    pub(crate) steps: Vec<Step>,
}

/// A manifest by the name under which the story knows it.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// One lesson.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) title: Text,
    pub(crate) text: Text,
    pub(crate) delete: Vec<Manifest>,
    pub(crate) apply: Vec<Manifest>,
    pub(crate) probes: Vec<Probe>,
}

/// One connection (or name look-up) that is really made, and what must become of it.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) from: ObjectRef,
    pub(crate) action: Action,
    pub(crate) expect: Expect,
    /// At which end the sidecar decides.
    pub(crate) at: Option<Direction>,
    /// The policy that must be named.
    pub(crate) by: Option<ObjectRef>,
}

/// What a probe does.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Connect and exchange a greeting.
    Connect {
        to: Destination,
        port: u16,
        protocol: Protocol,
    },
    /// Ask the cluster's DNS.
    Resolve { name: String },
}

/// Whom a probe connects to.
#[derive(Debug, Clone)]
pub(crate) enum Destination {
    /// A pod's own address.
    Pod(ObjectRef),
    /// A Service's cluster IP.
    Service(ObjectRef),
    /// A DNS name, resolved from inside the pod.
    Name(String),
}

impl Story {
    /// A built-in story by name, or the folder (or `story.yaml`) at a path.
    pub(crate) fn load(name_or_path: &str) -> anyhow::Result<Self> {
        if let Some(files) = builtin::find(name_or_path) {
            let files: BTreeMap<_, _> = files
                .iter()
                .map(|(n, t)| ((*n).to_owned(), (*t).to_owned()))
                .collect();
            return Self::from_files(Path::new("examples").join(name_or_path), &files)
                .with_context(|| format!("built-in story {name_or_path}"));
        }
        let path = Path::new(name_or_path);
        let dir = match path.file_name() {
            Some(file) if path.is_file() && file == "story.yaml" => {
                path.parent().unwrap_or(Path::new("."))
            }
            _ if path.is_dir() => path,
            _ => bail!(
                "no story {name_or_path:?}: give one of {}, or a folder that holds a story.yaml",
                builtin::names().collect::<Vec<_>>().join(", ")
            ),
        };
        let mut files = BTreeMap::new();
        for entry in
            std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?
        {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "yaml" || e == "yml")
                && let Some(name) = path.file_name().and_then(|n| n.to_str())
            {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                files.insert(name.to_owned(), text);
            }
        }
        Self::from_files(dir.to_owned(), &files)
            .with_context(|| format!("story in {}", dir.display()))
    }

    fn from_files(folder: PathBuf, files: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let text = files
            .get("story.yaml")
            .ok_or_else(|| anyhow!("there is no story.yaml"))?;
        let raw: RawStory = serde_saphyr::from_str(text).map_err(|e| anyhow!("story.yaml: {e}"))?;
        let mut mistakes = Vec::new();
        let pick = |names: &[String], mistakes: &mut Vec<String>| -> Vec<Manifest> {
            names
                .iter()
                .filter_map(|name| match files.get(name) {
                    Some(text) => Some(Manifest {
                        name: name.clone(),
                        text: text.clone(),
                    }),
                    None => {
                        mistakes.push(format!("there is no file {name}"));
                        None
                    }
                })
                .collect()
        };
        let cluster = pick(&raw.cluster, &mut mistakes);
        let mut steps = Vec::new();
        for (number, step) in raw.steps.into_iter().enumerate() {
            let (delete, apply) = (
                pick(&step.delete, &mut mistakes),
                pick(&step.apply, &mut mistakes),
            );
            let mut probes = Vec::new();
            for (index, probe) in step.probes.into_iter().enumerate() {
                match Probe::try_from(probe) {
                    Ok(probe) => probes.push(probe),
                    Err(e) => mistakes.push(format!("steps[{number}].probes[{index}]: {e:#}")),
                }
            }
            steps.push(Step {
                title: step.title,
                text: step.text,
                delete,
                apply,
                probes,
            });
        }
        if !mistakes.is_empty() {
            bail!("{}", mistakes.join("\n"));
        }
        Ok(Self {
            folder,
            title: raw.title,
            cluster,
            steps,
        })
    }
}

impl TryFrom<RawProbe> for Probe {
    type Error = anyhow::Error;

    fn try_from(raw: RawProbe) -> anyhow::Result<Self> {
        let action = match (raw.to, raw.resolve) {
            (Some(to), None) => Action::Connect {
                to: parse_destination(&to)?,
                port: raw.port.context("`port` is missing")?,
                protocol: raw.protocol.unwrap_or(Protocol::TCP),
            },
            (None, Some(name)) => Action::Resolve { name },
            _ => bail!("give either `to` or `resolve`"),
        };
        let by = match (raw.allowed_by, raw.isolated_by, raw.expect) {
            (None, None, _) => None,
            (Some(policy), None, Expect::Allow) | (None, Some(policy), Expect::Block) => {
                Some(parse_object(&policy)?)
            }
            _ => bail!("`allowedBy` goes with `expect: allow`, `isolatedBy` with `expect: block`"),
        };
        if by.is_some() && raw.at.is_none() {
            bail!("`allowedBy` and `isolatedBy` need `at: ingress` or `at: egress`");
        }
        Ok(Self {
            from: parse_object(&raw.from)?,
            action,
            expect: raw.expect,
            at: raw.at,
            by,
        })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Connect { to, port, protocol } => {
                let to = match to {
                    Destination::Pod(o) => format!("{}/{}", o.namespace, o.name),
                    Destination::Service(o) => format!("svc {}/{}", o.namespace, o.name),
                    Destination::Name(name) => name.clone(),
                };
                write!(
                    f,
                    "{}/{} → {to} {protocol} {port}",
                    self.from.namespace, self.from.name
                )
            }
            Action::Resolve { name } => write!(
                f,
                "{}/{} asks DNS for {name}",
                self.from.namespace, self.from.name
            ),
        }
    }
}

fn parse_object(text: &str) -> anyhow::Result<ObjectRef> {
    match text.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok(ObjectRef {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        }
        _ => bail!("{text:?} is not of the form namespace/name"),
    }
}

fn parse_destination(text: &str) -> anyhow::Result<Destination> {
    match text.split_once('/') {
        Some(("pod", rest)) => Ok(Destination::Pod(parse_object(rest)?)),
        Some(("svc", rest)) => Ok(Destination::Service(parse_object(rest)?)),
        Some(("name", rest)) if !rest.is_empty() => Ok(Destination::Name(rest.to_owned())),
        _ => bail!("`to: {text}` is none of pod/NAMESPACE/NAME, svc/NAMESPACE/NAME, name/DNS-NAME"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStory {
    title: Text,
    cluster: Vec<String>,
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    title: Text,
    text: Text,
    #[serde(default)]
    delete: Vec<String>,
    #[serde(default)]
    apply: Vec<String>,
    #[serde(default)]
    probes: Vec<RawProbe>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawProbe {
    from: String,
    to: Option<String>,
    resolve: Option<String>,
    port: Option<u16>,
    protocol: Option<Protocol>,
    expect: Expect,
    at: Option<Direction>,
    allowed_by: Option<String>,
    isolated_by: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_story_reads_and_names_only_files_it_has() {
        for name in builtin::names() {
            let story = Story::load(name).expect(name);
            assert!(
                story.steps.iter().all(|s| !s.probes.is_empty()),
                "{name}: a step without a probe teaches nothing"
            );
        }
    }

    #[test]
    fn the_built_in_stories_are_the_folders_under_examples() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let mut on_disk = Vec::new();
        for dir in std::fs::read_dir(root).expect("examples/") {
            let dir = dir.expect("entry").path();
            let story = dir
                .file_name()
                .and_then(|n| n.to_str())
                .expect("name")
                .to_owned();
            let files = builtin::find(&story).unwrap_or_else(|| panic!("{story} is not built in"));
            let mut there: Vec<_> = std::fs::read_dir(&dir)
                .expect("story")
                .map(|f| f.expect("file").file_name().into_string().expect("name"))
                // A story is its manifests; tests for them may lie beside.
                .filter(|name| name.ends_with(".yaml"))
                .collect();
            there.sort();
            let mut built: Vec<_> = files.iter().map(|(n, _)| (*n).to_owned()).collect();
            built.sort();
            assert_eq!(built, there, "{story}");
            on_disk.push(story);
        }
        assert_eq!(on_disk.len(), builtin::names().count());
    }

    #[test]
    fn all_mistakes_of_a_story_are_told_at_once() {
        let story = "title: {en: a, ja: a}\ncluster: [missing.yaml]\nsteps:\n- title: {en: a, ja: a}\n  text: {en: a, ja: a}\n  \
                     probes: [{from: x, to: pod/a/b, port: 1, expect: allow}, {from: a/b, expect: allow}]\n";
        let files = BTreeMap::from([("story.yaml".to_owned(), story.to_owned())]);
        let error = Story::from_files(PathBuf::new(), &files)
            .expect_err("three mistakes")
            .to_string();
        assert!(error.contains("missing.yaml"), "{error}");
        assert!(
            error.contains("steps[0].probes[0]: \"x\" is not of the form namespace/name"),
            "{error}"
        );
        assert!(
            error.contains("steps[0].probes[1]: give either `to` or `resolve`"),
            "{error}"
        );
    }
}
