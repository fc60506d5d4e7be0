//! What the node's pods run, as OCI archives: the product's image made of what was built here, and one
//! with [`pod-app`](../../bin/pod-app) that also holds pods' namespaces open.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::container::rootfs;

/// The product's image, as it is made here.
const SIDEWALL: &str = "localhost/sidewall:e2e";
/// The image of everything else.
pub const APP: &str = "localhost/pod-app:e2e";
/// What holds a pod's namespaces open.
pub const PAUSE: &str = "localhost/pause:e2e";

/// What lies on the node.
#[derive(Debug)]
pub struct Images {
    /// OCI archives.
    pub archives: Vec<PathBuf>,
    /// The product's, `NAME:TAG`.
    pub sidewall: String,
}

/// Makes the archives in this folder; the product's is the one given, as `make image` leaves it, or made
/// of what was built here.
///
/// # Errors
/// When a program is not built, or an archive cannot be written or names no image.
pub fn make(folder: &Path, given: Option<&Path>) -> Result<Images> {
    let app = own("pod-app")?;
    let (product, sidewall) = match given {
        Some(archive) => (archive.to_owned(), name_in(archive)?),
        None => {
            let programs = ["sidewall-sidecar", "sidewall-controller"].map(sidewall_lab::program);
            let [sidecar, controller] = programs;
            let archive = archive(folder, SIDEWALL, None, &[&sidecar?, &controller?])?;
            (archive, SIDEWALL.to_owned())
        }
    };
    let archives = vec![
        product,
        archive(folder, APP, Some("/pod-app"), &[&app])?,
        archive(folder, PAUSE, Some("/pod-app pause"), &[&app])?,
    ];
    Ok(Images { archives, sidewall })
}

/// The name that containerd gives the image of an archive.
fn name_in(archive: &Path) -> Result<String> {
    let output = Command::new("tar")
        .arg("-xOf")
        .args([archive.as_os_str(), "index.json".as_ref()])
        .output()
        .context("cannot start tar")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}: {said}", archive.display());
    let index: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let name = &index["manifests"][0]["annotations"]["io.containerd.image.name"];
    let name = name.as_str().map(str::to_owned);
    name.with_context(|| format!("{} names no image (make image)", archive.display()))
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
