//! What the lab needs of the machine: to make namespaces, and interfaces in them.

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

/// Gets what the lab needs, before any thread exists: nothing to do as root; otherwise a user
/// namespace in which we are root, with a /run of our own. Call it first in `main`.
///
/// # Errors
/// When the kernel does not permit it; says what to run instead.
pub fn ensure() -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    let entered = enter_user_namespace();
    entered.with_context(|| format!("the lab needs network namespaces; {}", advice()))
}

/// Whether the lab can be built here.
///
/// # Errors
/// When it cannot; says what to run instead.
pub fn check() -> Result<()> {
    if !geteuid().is_root() {
        bail!("the lab needs network namespaces; {}", advice());
    }
    Ok(())
}

/// Root in a user namespace may do in its own network namespaces what root may do anywhere.
fn enter_user_namespace() -> Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .context("the kernel permits no user namespace")?;
    let write = |file: &str, text: String| {
        let path = format!("/proc/self/{file}");
        std::fs::write(&path, text).with_context(|| format!("cannot write {path}"))
    };
    // Without this an unprivileged process may not map its group (user_namespaces(7)).
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("0 {user} 1"))?;
    write("gid_map", format!("0 {group} 1"))?;
    let none = None::<&str>;
    // Nothing that is mounted here shall be seen outside.
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(none, "/", none, private, none).context("cannot make mounts private")?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none)
        .context("cannot mount a /run of our own")
}

fn advice() -> String {
    let command: Vec<String> = std::env::args().collect();
    let mut advice = format!("run it as root: sudo {}", command.join(" "));
    // Debian's switch, and AppArmor's on Ubuntu 23.10 and later.
    for (switch, value) in [
        ("kernel.unprivileged_userns_clone", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),
    ] {
        let path = format!("/proc/sys/{}", switch.replace('.', "/"));
        if std::fs::read_to_string(path).is_ok_and(|now| now.trim() != value) {
            advice += &format!(", or permit user namespaces: sudo sysctl {switch}={value}");
        }
    }
    advice
}
