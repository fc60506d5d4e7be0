//! One iperf3 stream into a pod and out of it, without and with a sidecar, in turn.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use sidewall_lab::{Lab, Pod};

/// iperf3's own port.
const PORT: &str = "5201";

/// One kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// IPv6, or IPv4.
    pub v6: bool,
    /// The pod sends, or it receives.
    pub from_pod: bool,
}

impl Kind {
    /// The four of them.
    pub const ALL: [Self; 4] = [
        Self {
            v6: false,
            from_pod: false,
        },
        Self {
            v6: false,
            from_pod: true,
        },
        Self {
            v6: true,
            from_pod: false,
        },
        Self {
            v6: true,
            from_pod: true,
        },
    ];

    /// In words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match (self.v6, self.from_pod) {
            (false, false) => "IPv4, towards the pod",
            (false, true) => "IPv4, from the pod",
            (true, false) => "IPv6, towards the pod",
            (true, true) => "IPv6, from the pod",
        }
    }
}

/// Gbit/s of each round, without and with a sidecar.
#[derive(Debug, Default, Clone)]
pub struct Samples {
    /// Without.
    pub direct: Vec<f64>,
    /// With.
    pub guarded: Vec<f64>,
}

/// Runs the rounds; the order within a round turns each time so that neither side profits from it.
///
/// # Errors
/// When iperf3 is missing or fails.
pub async fn measure(
    lab: &Lab,
    kind: Kind,
    rounds: usize,
    seconds: u32,
) -> anyhow::Result<Samples> {
    let client = lab.pod("bench/client")?;
    let (direct, guarded) = (lab.pod("bench/direct")?, lab.pod("bench/guarded")?);
    let mut samples = Samples::default();
    for round in 0..rounds {
        let mut order = [(&direct, false), (&guarded, true)];
        if round % 2 == 1 {
            order.reverse();
        }
        for (server, is_guarded) in order {
            let gbits = run(&client, server, kind, seconds).await?;
            if is_guarded {
                &mut samples.guarded
            } else {
                &mut samples.direct
            }
            .push(gbits);
        }
    }
    Ok(samples)
}

/// One transfer. The server side runs in the benchmarked pod; `-R` turns the data's direction.
async fn run(client: &Pod, server: &Pod, kind: Kind, seconds: u32) -> anyhow::Result<f64> {
    let address: IpAddr = if kind.v6 {
        server.ipv6()
    } else {
        server.ipv4()
    }
    .context("the pod lacks an address")?;
    let mut listening = server
        .spawn("iperf3", ["-s", "-1", "-p", PORT])
        .context("iperf3 (see .ci/setup)")?;
    let seconds_text = seconds.to_string();
    let address_text = address.to_string();
    let mut args = vec!["-c", &address_text, "-p", PORT, "-t", &seconds_text, "-J"];
    if kind.from_pod {
        args.push("-R");
    }
    // The server needs a moment to listen; how long is the machine's affair.
    let mut last = String::new();
    for _ in 0..50 {
        let output = client.exec("iperf3", &args).await?;
        let report: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("iperf3's report")?;
        if let Some(bits) = report
            .pointer("/end/sum_received/bits_per_second")
            .and_then(serde_json::Value::as_f64)
            && output.status.success()
        {
            // It serves one test (-1) and ends by itself.
            tokio::time::timeout(Duration::from_secs(5), listening.wait())
                .await
                .context("iperf3 -s did not end")??;
            return Ok(bits / 1e9);
        }
        last = report
            .get("error")
            .map(ToString::to_string)
            .unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("iperf3 to {address}: {last}")
}
