//! `sidewall test`: files that say who may connect to whom, held against the engine (`--offline`),
//! against real packets in a lab (`--lab`), or in the running cluster.
//!
//! [`file`] reads what is written, [`plan`] finds whom it means, [`offline`], [`lab`] and [`cluster`]
//! answer, [`report`] prints.

mod cluster;
mod file;
mod lab;
mod offline;
mod plan;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use self::plan::Plan;
use crate::expect::Expect;
use crate::source::{File, LoadError, Problem, Source, SourceArgs};
use crate::ui;

/// What `sidewall test` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of tests: netassert's YAML, or lines such as "allow: web -> db:5432"; a folder's *.yaml,
    /// *.yml and *.txt; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// The namespace of names without one.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Ask the policy engine; no packet is sent. The default with --manifests.
    #[arg(long, conflicts_with = "lab")]
    offline: bool,
    /// Send real packets, in a cluster in a box that is made of the manifests.
    #[arg(long, requires = "manifests", conflicts_with_all = ["kubeconfig", "context"])]
    pub(crate) lab: bool,
    /// How results are printed.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// In a running cluster: the image with `sidewall-sidecar` for the containers that connect.
    #[arg(long, default_value = cluster::IMAGE)]
    image: String,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people: what does not hold, with the reason.
    #[default]
    Text,
    /// TAP 14, with diagnostics.
    Tap,
    /// JUnit's XML.
    Junit,
    /// For scripts.
    Json,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What the connection did; `Err`: it could not be told, and why.
    pub(crate) got: Result<Expect, String>,
    /// The engine's sentence.
    pub(crate) reason: String,
    /// What the packets did; empty when none was sent.
    pub(crate) seen: String,
}

/// Runs the command: 0 all hold, 1 some do not.
///
/// # Errors
/// When files cannot be understood (all mistakes at once), or the tests cannot be made.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let texts = texts(&args.files)?;
    let tests = file::read(&texts, &args.namespace);
    let (tests, (source, files)) = match (tests, cluster_and_files(&args.source).await) {
        (Ok(tests), Ok(source)) => (tests, source),
        (Err(mistakes), source) => {
            let problems = mistakes.into_iter().map(Problem::Mistake);
            let more = source.err().map(|error| error.problems);
            let problems = problems.chain(more.into_iter().flatten()).collect();
            return Err(LoadError { problems }.into());
        }
        (Ok(_), Err(error)) => return Err(error.into()),
    };
    source.notes.iter().for_each(ui::note);
    let plans = Plan::all(&tests, &source).map_err(|mistakes| LoadError {
        problems: mistakes.into_iter().map(Problem::Mistake).collect(),
    })?;
    let mut outcomes = offline::run(&plans, &source);
    if args.lab {
        lab::run(&plans, &source, &files, &mut outcomes).await?;
    } else if args.source.manifests.is_empty() && !args.offline {
        let client = args.source.client().await?;
        cluster::run(&client, &plans, &source, &args.image, &mut outcomes).await?;
    }
    let results: Vec<_> = tests.iter().zip(outcomes).collect();
    let text = match args.output {
        Output::Text => report::text(&results),
        Output::Tap => report::tap(&results),
        Output::Junit => report::junit(&results)?,
        Output::Json => report::json(&results)?,
    };
    ui::line(text.trim_end());
    let held = results.iter().all(|(test, outcome)| outcome.holds(test));
    Ok(ExitCode::from(u8::from(!held)))
}

/// The cluster, and the manifests it is made of, which are read once: standard input has no second
/// time.
async fn cluster_and_files(args: &SourceArgs) -> Result<(Source, Vec<File>), LoadError> {
    if args.manifests.is_empty() {
        return Ok((args.load().await?, Vec::new()));
    }
    let files = args.files()?;
    let (source, mistakes) = Source::from_files(files.clone());
    if mistakes.is_empty() {
        return Ok((source, files));
    }
    let problems = mistakes.into_iter().map(Problem::Mistake).collect();
    Err(LoadError { problems })
}

impl Outcome {
    /// Whether it is what the test expects.
    fn holds(&self, test: &file::Test) -> bool {
        self.got.as_ref() == Ok(&test.expect)
    }

    /// Reason, and what the packets did.
    fn why(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.got.as_ref().err().cloned());
        words.extend((!self.seen.is_empty()).then(|| format!("Packets: {}.", self.seen)));
        words.extend((!self.reason.is_empty()).then(|| self.reason.clone()));
        words.join(" ")
    }
}

/// Names and texts of the test files.
fn texts(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let text = std::io::read_to_string(std::io::stdin()).context("standard input")?;
            texts.push(("standard input".to_owned(), text));
        } else if path.is_dir() {
            let before = texts.len();
            for file in files_of(path)? {
                texts.push(text(&file)?);
            }
            if texts.len() == before {
                bail!(
                    "{}: a folder without a *.yaml, *.yml or *.txt",
                    path.display()
                );
            }
        } else {
            texts.push(text(path)?);
        }
    }
    Ok(texts)
}

fn files_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("yaml" | "yml" | "txt"))
    });
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> anyhow::Result<(String, String)> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    Ok((name, text))
}
