//! Where the sidecar's binary is, and other programs of this workspace.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

/// The binary's name.
const NAME: &str = "sidewall-sidecar";
/// Names it by its path.
const VARIABLE: &str = "SIDEWALL_SIDECAR";

/// Finds the binary: as told, else by the variable, else beside this executable (where `cargo build`
/// and packages put it), else in the workspace's target folder, the newest.
pub(crate) fn find(told: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = told {
        return existing(path, "the path given");
    }
    if let Some(path) = env::var_os(VARIABLE) {
        return existing(Path::new(&path), VARIABLE);
    }
    program(NAME).map_err(|missing| anyhow!("{missing} or name it by {VARIABLE}"))
}

/// Finds a program of this workspace: beside this executable (where `cargo build` and packages put
/// it), else in the workspace's target folder, the newest.
///
/// # Errors
/// When it was not built; the message says how.
pub fn program(name: &str) -> Result<PathBuf> {
    let executable = env::current_exe().unwrap_or_default();
    // Tests lie in target/<profile>/deps, one folder below.
    let beside = executable.ancestors().skip(1).take(2);
    let mut found: Vec<PathBuf> = beside.map(|folder| folder.join(name)).collect();
    found.retain(|path| path.is_file());
    if let Some(path) = found.into_iter().next() {
        return Ok(path);
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let profiles = ["release", "debug"].map(|profile| target.join(profile).join(name));
    let built = profiles.into_iter().filter(|path| path.is_file());
    let newest = built.max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok());
    newest.with_context(|| {
        format!(
            "no {name} beside {} and none in {}: build it (cargo build --workspace)",
            executable.display(),
            target.display()
        )
    })
}

fn existing(path: &Path, named_by: &str) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    bail!("{named_by} names {}, which is no file", path.display())
}
