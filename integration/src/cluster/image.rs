//! What the node's pods run, as OCI archives: the product's image made of what was built here, and one
//! with [`pod-app`](../../bin/pod-app) that also holds pods' namespaces open.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::container::rootfs;

/// The product's image.
pub const SIDEWALL: (&str, &str) = ("localhost/sidewall", "e2e");
/// The image of everything else.
pub const APP: &str = "localhost/pod-app:e2e";
/// What holds a pod's namespaces open.
pub const PAUSE: &str = "localhost/pause:e2e";

/// Makes the three archives in this folder.
///
/// # Errors
/// When a program is not built, or the archive cannot be written.
pub fn make(folder: &Path) -> Result<Vec<PathBuf>> {
    let sidewall = ["sidewall-sidecar", "sidewall-controller"].map(sidewall_lab::program);
    let [sidecar, controller] = sidewall;
    let app = own("pod-app")?;
    let name = format!("{}:{}", SIDEWALL.0, SIDEWALL.1);
    Ok(vec![
        archive(folder, &name, None, &[&sidecar?, &controller?])?,
        archive(folder, APP, Some("/pod-app"), &[&app])?,
        archive(folder, PAUSE, Some("/pod-app pause"), &[&app])?,
    ])
}

/// An image of programs and of what they are linked with.
fn archive(
    folder: &Path,
    name: &str,
    entrypoint: Option<&str>,
    programs: &[&Path],
) -> Result<PathBuf> {
    let file = folder.join(format!("{}.tar", name.replace(['/', ':'], "-")));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/oci-archive");
    let mut command = Command::new(script);
    if let Some(entrypoint) = entrypoint {
        command.arg("--entrypoint").arg(entrypoint);
    }
    command
        .arg(&file)
        .args([name, env!("CARGO_PKG_VERSION"), "unknown"]);
    for (inside, outside) in rootfs::files(programs)? {
        command.arg(format!("{}={}", inside.display(), outside.display()));
    }
    let output = command.output().context("cannot start .ci/oci-archive")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "oci-archive: {said}");
    Ok(file)
}

/// A program of this package: beside this one.
pub(super) fn own(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(
        path.is_file(),
        "{} is not built: cargo build --workspace",
        path.display()
    );
    Ok(path)
}
