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

/// One transfer. The server side runs in the guarded pod; `-R` turns the data's direction.
pub(super) async fn measure(
    client: &Pod,
    server: &Pod,
    address: IpAddr,
    streams: u8,
    from_pod: bool,
    seconds: u32,
) -> Result<Figures> {
    let mut listening = server
        .spawn("iperf3", ["-s", "-1", "-p", PORT])
        .context("iperf3 (see .ci/setup)")?;
    let (seconds, streams_text) = (seconds.to_string(), streams.to_string());
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
    if from_pod {
        args.push("-R");
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
            return Ok(figures(
                streams,
                from_pod,
                rate / 1e9,
                spent / (bytes * 8.0 / 1e9),
            ));
        }
        let error = report.get("error");
        last = error.map(ToString::to_string).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("iperf3 to {address}: {last}")
}

fn figures(streams: u8, from_pod: bool, rate: f64, cost: f64) -> Figures {
    match (streams, from_pod) {
        (1, false) => vec![(Column::StreamIn, rate), (Column::CpuIn, cost)],
        (1, true) => vec![(Column::StreamOut, rate), (Column::CpuOut, cost)],
        (_, false) => vec![(Column::StreamsIn, rate)],
        (_, true) => vec![(Column::StreamsOut, rate)],
    }
}
