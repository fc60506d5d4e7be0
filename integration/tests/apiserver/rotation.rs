//! A new certificate while pods are created: no pod meets a webhook that the API server does not trust.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use sidewall_integration::apiserver::Controller;

use super::webhook::installed;
use super::{Cluster, eventually, pod};

/// The controller looks every ten seconds, and lets a new authority be known for ten before it is used.
const ROTATION: Duration = Duration::from_secs(60);
const SECRET: [&str; 4] = ["secret", "sidewall-webhook-tls", "-n", "sidewall"];

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_two_replicas_while_pods_are_created() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let _one = installed(&cluster, &[]).await?;
    let _two = Controller::start(&cluster.server, "sidewall-1").await?;
    let creator = Creator::start(&cluster)?;
    let mut bundles = vec![bundle(&cluster).await?];
    for way in ["due", "empty"] {
        let before = cluster.get(&SECRET).await?["data"]["tls.crt"].clone();
        match way {
            "due" => make_due(&cluster).await?,
            // What docs/install.md says: have another made at once.
            _ => {
                let patch = r#"[{"op": "remove", "path": "/data"}]"#;
                let args = [&["patch"], &SECRET[..], &["--type=json", "-p", patch]].concat();
                cluster.kubectl.run(&args, "").await?;
            }
        }
        let deadline = tokio::time::Instant::now() + ROTATION;
        loop {
            let now = cluster.get(&SECRET).await?["data"]["tls.crt"].clone();
            if now.is_string() && now != before {
                break;
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{way}: no new certificate"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        creator.goes_on().await?;
        bundles.push(bundle(&cluster).await?);
    }
    let created = creator.end().await?;
    println!("{created} pods created while the certificate changed twice; none was refused");
    bundles.dedup();
    assert_eq!(
        bundles.len(),
        3,
        "each certificate has an authority of its own"
    );
    Ok(())
}

/// Creates pods, for as long as nothing goes wrong.
struct Creator {
    created: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Creator {
    fn start(cluster: &Cluster) -> Result<Self> {
        let api: Api<Pod> = Api::namespaced(cluster.server.client(), "shop");
        let template: Pod = serde_json::from_value(json!({
            "metadata": {"generateName": "many-"},
            "spec": {"containers": [{"name": "app", "image": "example.org/app"}]},
        }))?;
        let (created, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, until) = (Arc::clone(&created), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let dry_run = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            while !until.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed);
                let made = api.create(&dry_run, &template).await;
                let made = made.with_context(|| format!("after {number} pods"))?;
                let init = made.spec.and_then(|spec| spec.init_containers);
                ensure!(init.is_some(), "pod {number} is not injected");
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        });
        Ok(Self {
            created,
            stop,
            task,
        })
    }

    /// Waits for a few more.
    async fn goes_on(&self) -> Result<()> {
        let before = self.created.load(Ordering::Relaxed);
        eventually("pods go on being created", async || {
            let now = self.created.load(Ordering::Relaxed);
            ensure!(now > before + 20, "{now} after {before}");
            Ok(())
        })
        .await
    }

    async fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await??;
        Ok(self.created.load(Ordering::Relaxed))
    }
}

/// Has the certificate be as old as it is when its time has come.
async fn make_due(cluster: &Cluster) -> Result<()> {
    let notes = cluster.get(&SECRET).await?["data"]["sidewall.json"].clone();
    let notes = BASE64_STANDARD.decode(notes.as_str().context("no notes")?)?;
    let mut notes: Value = serde_json::from_slice(&notes)?;
    notes["madeAt"] = json!("2020-01-01T00:00:00Z");
    let notes = BASE64_STANDARD.encode(notes.to_string());
    let patch = json!({"data": {"sidewall.json": notes}}).to_string();
    let args = [&["patch"], &SECRET[..], &["--type=merge", "-p", &patch]].concat();
    cluster.kubectl.run(&args, "").await.map(drop)
}

async fn bundle(cluster: &Cluster) -> Result<Value> {
    let name = "sidewall-sidewall";
    let configuration = cluster.get(&["mutatingwebhookconfiguration", name]).await?;
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].clone();
    ensure!(bundle.is_string(), "no caBundle");
    Ok(bundle)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_leaves_certificate_and_bundle_alone() -> Result<()> {
    let Some(cluster) = Cluster::start().await? else {
        return Ok(());
    };
    let _controller = installed(&cluster, &[]).await?;
    let certificate = cluster.get(&SECRET).await?["data"].clone();
    let trusted = bundle(&cluster).await?;
    let more = ["--reuse-values", "--set", "webhook.timeoutSeconds=7"];
    cluster.helm.upgrade(&more).await?;
    assert_eq!(cluster.get(&SECRET).await?["data"], certificate);
    assert_eq!(bundle(&cluster).await?, trusted);
    let create = ["-n", "shop", "create", "-f", "-"];
    cluster.kubectl.run(&create, &pod("after", "", "")).await?;
    Ok(())
}
