//! Without root: a lab in a user namespace of its own, or the advice what to run instead.
//!
//! Not a test of the usual kind: the user namespace has to be entered before any thread exists, so
//! this has a `main` of its own. As root it starts itself again as nobody.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use common::PATIENCE;
use nix::unistd::geteuid;
use sidewall::net::Protocol;
use sidewall_lab::privileges;

/// The user and group `nobody` of Debian and others.
const NOBODY: u32 = 65_534;

fn main() -> Result<()> {
    if geteuid().is_root() {
        // Not by its path, where nobody might not be allowed to look.
        let status = Command::new("/proc/self/exe")
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/")
            .status()
            .context("cannot start again as nobody")?;
        ensure!(status.success(), "without root: {status}");
        return Ok(());
    }
    if let Err(refused) = privileges::ensure() {
        let refused = format!("{refused:#}");
        ensure!(refused.contains("sudo"), "no advice: {refused}");
        eprintln!("SKIPPED: {refused}");
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(pods_reach_each_other())?;
    println!("test a_lab_runs_in_a_user_namespace ... ok");
    Ok(())
}

async fn pods_reach_each_other() -> Result<()> {
    let lab = common::builder().start().await?;
    lab.settled(PATIENCE).await?;
    let client = lab.pod("other/client")?;
    for target in ["web.shop:8000", "one.shop:80"] {
        let outcome = client
            .connect(&target.parse()?, Protocol::TCP, PATIENCE)
            .await;
        let is_service = target.starts_with("web");
        ensure!(outcome.is_connected() == is_service, "{target}: {outcome}");
    }
    lab.stop().await
}
