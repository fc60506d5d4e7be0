//! What is asked of a real cluster: that the chart installs, that pods come up injected and guarded,
//! that what may connect connects and nothing else does, that a dead sidecar leaves its pod closed,
//! and that nothing is left when it is uninstalled.
//!
//! ```text
//! install ─► world (nine pods, their Services) ─► life (probes, Jobs) ─► truth (tables of the upstream
//!            suite, by pod and by Service) ─► crash (the sidecar is killed) ─► uninstall
//! ```
//! Each step is a function that fails with what it saw; next: [`run`] prints and times them.

mod ask;
mod case;
mod crash;
mod install;
mod life;
mod truth;
mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cluster::sandbox::Sandbox;
use crate::cluster::{Cluster, image};
use crate::helm::Helm;

/// For what comes about by itself, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(200);

/// What is to be asked.
#[derive(Debug)]
pub struct Plan {
    /// The upstream suite's cases; none: the truth tables are left out.
    pub cases: Option<PathBuf>,
    /// All cases that this kernel can make, and not a selection.
    pub all: bool,
    /// The product's image, as `make image` leaves it; none: one is made of what was built here.
    pub image: Option<PathBuf>,
}

/// Runs everything in a fresh cluster.
///
/// # Errors
/// What did not come about, with what was seen.
pub async fn run(sandbox: &Sandbox, plan: &Plan) -> Result<()> {
    let began = Instant::now();
    let images = image::make(sandbox.folder(), plan.image.as_deref())?;
    let cluster = Cluster::start(sandbox, &images.archives).await?;
    say(
        began,
        "etcd, control plane, containerd, kubelet and kube-proxy run; the node is ready",
    );
    let helm = Helm::find(cluster.kubeconfig())?;
    let helm = helm.ok_or_else(|| anyhow::anyhow!("no helm"))?;
    let client = cluster.client();

    world::namespaces(&client).await?;
    install::install(&helm, &images.sidewall).await?;
    install::check(&cluster).await?;
    say(
        began,
        &format!(
            "helm install: the controller of {} is ready, its webhook answers",
            images.sidewall
        ),
    );
    let world = world::pods(&client).await?;
    say(
        began,
        "9 pods of 3 labelled namespaces came up injected, with sidecars in force, and ready",
    );
    install::check(&cluster).await?;
    say(began, "sidewall check finds nothing wrong");
    life::a_job_completes(&client, &world).await?;
    say(began, "a Job with a sidecar completes");
    if let Some(file) = &plan.cases {
        let told = truth::hold(&client, &world, file, plan.all, |line| say(began, line)).await?;
        say(began, &told);
    }
    life::probes_pass_while_everything_is_denied(&client, &world).await?;
    say(
        began,
        "kubelet's probes pass while a policy denies everything",
    );
    let told = crash::a_dead_sidecar_leaves_the_pod_closed(&client, &world, sandbox).await?;
    say(began, &told);
    install::uninstall(&client, &helm).await?;
    say(
        began,
        "helm uninstall leaves no webhook, and pods start without a sidecar",
    );
    Ok(())
}

fn say(began: Instant, line: &str) {
    println!("✓ {line} ({} s)", began.elapsed().as_secs());
}

/// Asks until it is so.
async fn until<F>(what: &str, mut look: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<Option<String>>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Some(seen) = look().await? else {
            return Ok(());
        };
        anyhow::ensure!(
            Instant::now() < deadline,
            "{what} is not so after {PATIENCE:?}: {seen}"
        );
        tokio::time::sleep(BETWEEN).await;
    }
}
