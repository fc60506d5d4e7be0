//! iperf3, with what the whole machine worked meanwhile.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sidewall_lab::Pod;

use super::{Figures, PATIENCE};
use crate::bench::axis::Column;
use crate::bench::machine::busy_seconds;

/// iperf3's own port.
const PORT: &str = "5201";

/// What is transferred, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    /// Connections at once.
    pub(super) streams: u8,
    /// The pod sends; else it receives.
    pub(super) from_pod: bool,
    /// With CUBIC; else with the machine's own congestion control.
    pub(super) cubic: bool,
}

/// One transfer. The server side runs in the guarded pod; `-R` turns the data's direction.
pub(super) async fn measure(
    client: &Pod,
    server: &Pod,
    address: IpAddr,
    transfer: Transfer,
    seconds: u32,
) -> Result<Figures> {
    let mut listening = server
        .spawn("iperf3", ["-s", "-1", "-p", PORT])
        .context("iperf3 (see .ci/setup)")?;
    let (seconds, streams_text) = (seconds.to_string(), transfer.streams.to_string());
    let address = address.to_string();
    let mut args = vec![
        "-c",
        &address,
        "-p",
        PORT,
        "-t",
        &seconds,
        "-P",
        &streams_text,
        "-J",
    ];
    if transfer.from_pod {
        args.push("-R");
    }
    if transfer.cubic {
        args.extend(["-C", "cubic"]);
    }
    // The server needs a moment to listen; how long is the machine's affair.
    let mut last = String::new();
    for _ in 0..50 {
        let before = busy_seconds()?;
        let output = client.exec("iperf3", &args).await?;
        let spent = busy_seconds()? - before;
        let report: Value = serde_json::from_slice(&output.stdout).context("iperf3's report")?;
        let of_all = |name| {
            let value = report.pointer(&format!("/end/sum_received/{name}"));
            value.and_then(Value::as_f64)
        };
        if let (Some(rate), Some(bytes), true) = (
            of_all("bits_per_second"),
            of_all("bytes"),
            output.status.success(),
        ) {
            // It serves one test (-1) and ends by itself.
            tokio::time::timeout(PATIENCE, listening.wait())
                .await
                .context("iperf3 -s did not end")??;
            return Ok(figures(transfer, rate / 1e9, spent / (bytes * 8.0 / 1e9)));
        }
        let error = report.get("error");
        last = error.map(ToString::to_string).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("iperf3 to {address}: {last}")
}

fn figures(transfer: Transfer, rate: f64, cost: f64) -> Figures {
    match transfer {
        Transfer {
            cubic: true,
            from_pod,
            ..
        } => {
            let column = if from_pod {
                Column::CubicOut
            } else {
                Column::CubicIn
            };
            vec![(column, rate)]
        }
        Transfer {
            streams: 1,
            from_pod: false,
            ..
        } => vec![(Column::StreamIn, rate), (Column::CpuIn, cost)],
        Transfer { streams: 1, .. } => vec![(Column::StreamOut, rate), (Column::CpuOut, cost)],
        Transfer {
            from_pod: false, ..
        } => vec![(Column::StreamsIn, rate)],
        Transfer { .. } => vec![(Column::StreamsOut, rate)],
    }
}
