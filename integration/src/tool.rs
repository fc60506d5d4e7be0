//! Programs that the tests drive: found in target/tools, where `.ci/` puts them, or in PATH; run to
//! their end.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Finds a program, the one in target/tools first.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(local).chain(std::env::split_paths(&path));
    let mut files = folders.map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}

/// As [`find()`]; missing is said loudly at home, with who brings it.
///
/// # Panics
/// In CI when there is none.
#[must_use]
pub fn find_or_skip(name: &str, brought_by: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI must have {name} ({brought_by} brings it)"
        );
        eprintln!("SKIPPED: no {name} in PATH nor in target/tools ({brought_by} brings it)");
    }
    found
}

/// Runs a command with `input` on its standard input; its standard output.
///
/// # Errors
/// When it fails; with what it said.
pub async fn run(mut command: Command, input: &str) -> anyhow::Result<String> {
    let program = command.as_std().get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        let args = command.as_std().get_args().skip(2);
        let args: Vec<_> = args.map(|arg| arg.to_string_lossy()).collect();
        bail!(
            "{} {}: {}",
            Path::new(&program)
                .file_name()
                .unwrap_or_default()
                .display(),
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
