//! The sidecar's container dies: nothing passes, in either direction, until the kubelet has started it
//! again.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::{Api, Client};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sidewall_controller::inject::CONTAINER;

use super::ask::ask;
use super::until;
use super::world::World;
use crate::cluster::sandbox::Sandbox;
use crate::cluster::{process_of, program_in_network_of};

/// The kubelet starts a container again at once the first time, and after ten seconds the second time:
/// that is the time in which everything is tried here.
const KILLS: i32 = 2;

/// Kills the sidecar of `netpol-x/a`, twice. What was seen, in words.
pub(super) async fn a_dead_sidecar_leaves_the_pod_closed(
    client: &Client,
    world: &World,
    sandbox: &Sandbox,
) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "netpol-x");
    let inward = format!("tcp/{}:80", world.of("netpol-x/a")?.pod);
    let outward = format!("tcp/{}:80", world.of("netpol-x/b")?.pod);
    let app = process_of(sandbox, &container_id(&pods, "app").await?)?;
    let mut tried = 0;
    for number in 1..=KILLS {
        open(world, &inward).await?;
        let process = process_of(sandbox, &container_id(&pods, CONTAINER).await?)?;
        kill(Pid::from_raw(process), Signal::SIGKILL).context("killing the sidecar")?;
        if number < KILLS {
            until("the sidecar has been started again", || {
                restarted(&pods, number)
            })
            .await?;
            continue;
        }
        loop {
            let status = status(&pods, CONTAINER).await?;
            if is_running(&status) && status.restart_count >= number {
                break;
            }
            let arguments = ["ask", &outward];
            let (from_outside, from_inside) = tokio::join!(
                ask(world, "netpol-x/b", std::slice::from_ref(&inward)),
                program_in_network_of(app, &arguments),
            );
            // Asked while it was dead, and dead still: nothing that came in between can have opened it.
            let status = self::status(&pods, CONTAINER).await?;
            if is_running(&status) {
                break;
            }
            ensure!(
                from_outside? == [false],
                "a peer got in while the sidecar was dead"
            );
            let said = from_inside?;
            ensure!(
                !said.contains(" connected "),
                "the pod got out while the sidecar was dead: {said}"
            );
            tried += 2;
        }
        until("the sidecar has been started again", || {
            restarted(&pods, number)
        })
        .await?;
    }
    open(world, &inward).await?;
    if tried < 4 {
        bail!("only {tried} connections were tried while the sidecar was dead");
    }
    Ok(format!(
        "killed, the sidecar left its pod closed: {tried} connections in and out failed until the kubelet had \
         started it again"
    ))
}

/// Without a policy everything passes, once the sidecar is there.
async fn open(world: &World, inward: &String) -> Result<()> {
    until("the pod is open again", || async {
        let connected = ask(world, "netpol-x/b", std::slice::from_ref(inward)).await?;
        Ok((connected != [true]).then(|| "netpol-x/b does not get in".to_owned()))
    })
    .await
}

async fn restarted(pods: &Api<Pod>, times: i32) -> Result<Option<String>> {
    let status = status(pods, CONTAINER).await?;
    let there =
        is_running(&status) && status.restart_count >= times && status.started == Some(true);
    Ok((!there).then(|| format!("{status:?}")))
}

fn is_running(status: &ContainerStatus) -> bool {
    matches!(
        status.state,
        Some(ContainerState {
            running: Some(_),
            ..
        })
    )
}

async fn status(pods: &Api<Pod>, container: &str) -> Result<ContainerStatus> {
    let status = pods.get("a").await?.status.context("no status")?;
    let all = status
        .init_container_statuses
        .into_iter()
        .chain(status.container_statuses);
    let found = all.flatten().find(|status| status.name == container);
    found.with_context(|| format!("no status of {container}"))
}

async fn container_id(pods: &Api<Pod>, container: &str) -> Result<String> {
    let id = status(pods, container)
        .await?
        .container_id
        .context("no container id")?;
    Ok(id.trim_start_matches("containerd://").to_owned())
}
