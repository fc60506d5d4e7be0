//! Has pods make connections: by a line to the port on which they take such wishes, from the node.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::world::{ASK, World};

/// A blocked connection costs the pod two seconds; all are made at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether each connection came about, in order. Targets are `tcp/ADDRESS:PORT`.
pub(super) async fn ask(world: &World, from: &str, targets: &[String]) -> Result<Vec<bool>> {
    let address = SocketAddr::new(world.of(from)?.pod, ASK);
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(format!("{}\n", targets.join(" ")).as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, talk).await;
    let answer = answer.with_context(|| format!("{from} does not answer the node"))??;
    let lines: Vec<bool> = answer
        .lines()
        .map(|line| line.contains(" connected "))
        .collect();
    anyhow::ensure!(lines.len() == targets.len(), "{from} answers {answer:?}");
    Ok(lines)
}
