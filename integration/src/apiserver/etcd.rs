//! etcd, and the one thing that is asked of it directly: to forget the past.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::process::{Process, free_port};

/// It starts in tenths of a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers are some hundred bytes.
const LONGEST: usize = 1 << 20;

/// A running etcd.
#[derive(Debug)]
pub(crate) struct Etcd {
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    process: Process,
}

impl Etcd {
    /// Starts one with its data in the folder, and waits until it answers.
    pub(crate) async fn start(program: &Path, folder: &Path) -> Result<Self> {
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let peers = format!("http://127.0.0.1:{}", free_port()?);
        let mut command = Command::new(program);
        command
            .arg("--name=default")
            .arg(format!("--data-dir={}", folder.join("etcd").display()))
            // The data need not survive the machine.
            .arg("--unsafe-no-fsync")
            .arg("--log-level=warn")
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg(format!("--listen-peer-urls={peers}"))
            .arg(format!("--initial-advertise-peer-urls={peers}"))
            .arg(format!("--initial-cluster=default={peers}"));
        let process = Process::start(&command, &folder.join("etcd.log"))?;
        let mut etcd = Self { url, process };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let error = match etcd.revision().await {
                Ok(_) => return Ok(etcd),
                Err(error) => error,
            };
            if let Some(status) = etcd.process.ended() {
                bail!("etcd ended ({status}): {}", etcd.process.tail());
            }
            if Instant::now() > deadline {
                return Err(error.context(format!("etcd: {}", etcd.process.tail())));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Forgets every version but the present one, as kube-apiserver has it do every five minutes.
    pub(crate) async fn compact(&self) -> Result<()> {
        let revision = self.revision().await?;
        let request = json!({"revision": revision, "physical": true});
        self.ask("kv/compaction", &request).await.map(drop)
    }

    /// The present version of everything, as a decimal number.
    async fn revision(&self) -> Result<String> {
        // Any key: "AA==" is one zero byte.
        let answer = self.ask("kv/range", &json!({"key": "AA=="})).await?;
        let revision = answer["header"]["revision"].as_str();
        Ok(revision.context("etcd tells no revision")?.to_owned())
    }

    /// One call of etcd's JSON gateway (etcd 3.4: /v3).
    async fn ask(&self, path: &str, request: &Value) -> Result<Value> {
        let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
        let request = http::Request::post(format!("{}/v3/{path}", self.url))
            .body(Body::from(request.to_string()))?;
        let answer = client.request(request).await?;
        let status = answer.status();
        let body = axum::body::to_bytes(Body::new(answer.into_body()), LONGEST).await?;
        anyhow::ensure!(
            status.is_success(),
            "etcd answers {path} with {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(serde_json::from_slice(&body)?)
    }
}
