//! `sidewall inject` and `uninject`: the sidecar into manifests, and out of them again, with the
//! code that the webhook runs. YAML goes to stdout, the report to stderr.
//!
//! Exit codes: 0 done; 1 something was refused, and nothing was printed to stdout; 2 it could not
//! be read.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use sidewall_controller::inject::Injector;
use sidewall_controller::inject::manifest::{self, Done, Line};
use sidewall_controller::inject::settings::Settings;

use crate::ui;

/// What `sidewall inject` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of YAML or JSON; - is standard input.
    #[arg(default_value = "-", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The injector's settings, as the chart writes them into its ConfigMap.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The sidecar's image.
    #[arg(long)]
    image: Option<String>,
    /// An option of the sidecar, such as mode=audit or memory-limit=512Mi; may be repeated.
    #[arg(long = "set", value_name = "OPTION=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// The namespace of objects that name none.
    #[arg(long, short)]
    namespace: Option<String>,
}

/// What `sidewall uninject` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct UninjectArgs {
    /// Files of YAML or JSON; - is standard input.
    #[arg(default_value = "-", value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs `sidewall inject`.
///
/// # Errors
/// When a file or the settings cannot be read.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let injector = Injector::new(settings(args)?);
    let namespace = args.namespace.as_deref();
    each(&args.files, |text| {
        manifest::inject(text, &injector, namespace)
    })
}

/// Runs `sidewall uninject`.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn run_uninject(args: &UninjectArgs) -> anyhow::Result<ExitCode> {
    each(&args.files, manifest::uninject)
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    let mut settings = match &args.settings {
        None => Settings::default(),
        Some(path) => {
            let text = read(path)?;
            Settings::from_yaml(&text).with_context(|| format!("{}", path.display()))?
        }
    };
    if let Some(image) = &args.image {
        settings.image.clone_from(image);
    }
    let typed = args
        .set
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    settings.options = settings
        .options
        .changed(typed)
        .map_err(|mistakes| anyhow::anyhow!("--set: {}", mistakes.join("\n--set: ")))?;
    Ok(settings)
}

fn pair(typed: &str) -> Result<(String, String), String> {
    let pair = typed.split_once('=');
    let (name, value) = pair.ok_or("it must be OPTION=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// All files as one stream: nothing is printed unless all of it can be.
fn each(
    files: &[PathBuf],
    change: impl Fn(&str) -> Result<Done, manifest::NotYaml>,
) -> anyhow::Result<ExitCode> {
    let mut stream = Some(String::new());
    for path in files {
        let done = change(&read(path)?).with_context(|| format!("{}", path.display()))?;
        report(&done);
        stream = match (stream, done.yaml) {
            (Some(mut stream), Some(yaml)) => {
                append(&mut stream, &yaml);
                Some(stream)
            }
            _ => None,
        };
    }
    let Some(stream) = stream else {
        ui::note("nothing was written: what is refused above must be put right first");
        return Ok(ExitCode::FAILURE);
    };
    // Not through `ui`, which takes colours out of what it prints: this is data.
    let mut out = std::io::stdout().lock();
    out.write_all(stream.as_bytes())
        .context("standard output")?;
    out.flush().context("standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn append(stream: &mut String, yaml: &str) {
    if !stream.is_empty() {
        if !stream.ends_with('\n') {
            stream.push('\n');
        }
        if !yaml.starts_with("---") {
            stream.push_str("---\n");
        }
    }
    stream.push_str(yaml);
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        let mut input = std::io::stdin().lock();
        input.read_to_string(&mut text).context("standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))
}

fn report(done: &Done) {
    for (name, line) in &done.report {
        match line {
            Line::Changed(how, warnings) => {
                ui::note(format!("{} {name} {how}", ui::paint(ui::GOOD, "✓")));
                for warning in warnings {
                    ui::note(format!("  {} {warning}", ui::paint(ui::WARN, "‼")));
                }
            }
            Line::Skipped(skip) => {
                ui::note(ui::paint(ui::FAINT, format!("- {name} skipped ({skip})")));
            }
            Line::NotInjected => {
                ui::note(ui::paint(ui::FAINT, format!("- {name} has no sidecar")));
            }
            Line::Refused(mistakes) => {
                ui::note(format!("{} {name} refused", ui::paint(ui::BAD, "✗")));
                for mistake in mistakes {
                    ui::note(format!("  {mistake}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_one_stream_of_documents() {
        let mut stream = String::new();
        for yaml in ["a: 1", "b: 2\n", "---\nc: 3\n"] {
            append(&mut stream, yaml);
        }
        assert_eq!(stream, "a: 1\n---\nb: 2\n---\nc: 3\n");
    }

    #[test]
    fn options_by_hand_go_over_the_settings_file_and_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("settings.yaml");
        let text = "image: here:1\noptions: {mode: audit, flow-log: none}\n";
        std::fs::write(&file, text).unwrap();
        let args = |set: &[(&str, &str)]| Args {
            files: Vec::new(),
            settings: Some(file.clone()),
            image: None,
            set: set
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            namespace: None,
        };
        let settings = settings(&args(&[("mode", "enforce")])).unwrap();
        assert_eq!(settings.image, "here:1");
        assert_eq!(settings.options.get("mode"), Some("enforce"));
        assert_eq!(settings.options.get("flow-log"), Some("none"));
        let error = super::settings(&args(&[("mode", "x"), ("nonsense", "y")])).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("mode is \"x\"") && error.contains("nonsense"),
            "{error}"
        );
    }
}
