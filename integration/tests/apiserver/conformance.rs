//! `sidewall conformance --lab` with the cluster's objects in a real API server.

use std::path::Path;

use anyhow::Result;
use sidewall_integration::tool;
use tokio::process::Command;

use super::{Cluster, Source, of_each_source};

of_each_source!(the_upstream_suite_holds_with_a_real_api_server);

/// The truth tables of Kubernetes' own end-to-end suite, read where they lie beside a checkout.
const CASES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../shared/conformance/upstream_e2e.json.gz"
);
/// Which of the cases: every one where this is `all`, otherwise every eighth.
const SCOPE: &str = "SIDEWALL_CONFORMANCE";

async fn the_upstream_suite_holds_with_a_real_api_server(source: Source) -> Result<()> {
    if !Path::new(CASES).is_file() {
        eprintln!("SKIPPED conformance: there is no {CASES}");
        return Ok(());
    }
    let Some(cluster) = Cluster::for_lab("conformance with a real API server").await? else {
        return Ok(());
    };
    let every = match std::env::var(SCOPE).as_deref() {
        Ok("all") => "1",
        _ => "8",
    };
    let mut command = Command::new(sidewall_lab::program("sidewall")?);
    command
        .args(["conformance", "--lab", "--every", every, "--kubeconfig"])
        .arg(cluster.server.kubeconfig());
    // Sidecars that read the API do so as the kubeconfig's user: their namespaces come and go.
    let _controllers = match source {
        Source::Api => Vec::new(),
        Source::Lists => {
            command.arg("--allow-lists");
            cluster.serve(&[], 1).await?
        }
    };
    command.arg(CASES);
    println!("{}", tool::run(command, "").await?);
    Ok(())
}
