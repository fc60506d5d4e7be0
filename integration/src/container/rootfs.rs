//! An image without a registry: programs, and the shared libraries that a debug build of them wants.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Puts programs into the root of `rootfs`, and what they are linked with where they look for it.
///
/// # Errors
/// When a program is not there, or a library is not found.
pub fn fill(rootfs: &Path, programs: &[&Path]) -> anyhow::Result<()> {
    for (inside, outside) in files(programs)? {
        let target = rootfs.join(inside.strip_prefix("/").unwrap_or(&inside));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&outside, &target).with_context(|| {
            format!("cannot copy {} to {}", outside.display(), target.display())
        })?;
    }
    Ok(())
}

/// Each file of such an image: its path inside, and where it lies here. Programs stand in the root.
///
/// # Errors
/// As [`fill`].
pub fn files(programs: &[&Path]) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    for program in programs {
        let name = program.file_name().unwrap_or_else(|| OsStr::new(""));
        files.push((Path::new("/").join(name), program.to_path_buf()));
        for library in libraries(program)? {
            if !files.iter().any(|(inside, _)| *inside == library) {
                files.push((library.clone(), library));
            }
        }
    }
    Ok(files)
}

/// The loader and the libraries, as `ldd` resolves them; none for a static program.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .output()
        .context("cannot start ldd")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    if said.contains("statically linked") || complained.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    if !output.status.success() || said.contains("not found") {
        bail!("ldd {}: {said}{complained}", program.display());
    }
    // "libc.so.6 => /lib/…/libc.so.6 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)", "linux-vdso.so.1 (0x…)".
    let paths = said.lines().filter_map(|line| {
        line.split_whitespace()
            .find(|word| word.starts_with('/'))
            .map(PathBuf::from)
    });
    Ok(paths.collect())
}
