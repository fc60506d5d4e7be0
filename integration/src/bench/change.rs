//! How long after `kubectl apply` a verdict changes: probes every millisecond tell when the first
//! packet passes, or the last one does.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::{Deserialize, Serialize};
use sidewall_lab::Lab;

use crate::kubectl::Kubectl;

const OPEN: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: toggle, namespace: bench}
spec: {podSelector: {matchLabels: {app: guarded}}, policyTypes: [Ingress], ingress: [{ports: [{port: 9000, protocol: UDP}]}]}
"#;
const CLOSED: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: toggle, namespace: bench}
spec: {podSelector: {matchLabels: {app: guarded}}, policyTypes: [Ingress], ingress: []}
"#;

/// Between two probes.
const INTERVAL: Duration = Duration::from_millis(1);
/// A verdict that has not changed after this is a failure, not a sample.
const PATIENCE: Duration = Duration::from_secs(5);

/// Milliseconds per change.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// From the moment another client's watch showed the change.
    pub since_event: Vec<f64>,
    /// From the moment kubectl returned; 0 when the verdict had changed before.
    pub since_return: Vec<f64>,
}

/// When the answer to a probe came, by the probe's time.
#[derive(Debug, Default)]
struct Answers {
    /// Probes sent in order; answered or not.
    probes: VecDeque<(Instant, bool)>,
}

/// Toggles a policy with the real kubectl and times each change.
///
/// # Errors
/// When kubectl fails or a verdict does not change.
pub async fn measure(lab: &Lab, kubectl: &Kubectl, changes: usize) -> anyhow::Result<Samples> {
    let client = lab.pod("bench/client")?;
    let server = SocketAddr::new(
        lab.pod("bench/guarded")?
            .ipv4()
            .context("no IPv4 address")?,
        9000,
    );
    let (answers, stop) = (
        Arc::new(Mutex::new(Answers::default())),
        Arc::new(AtomicBool::new(false)),
    );
    let prober = {
        let (answers, stop) = (answers.clone(), stop.clone());
        tokio::spawn(async move { client.within(move || probe(server, &answers, &stop)).await })
    };
    let result = toggle(lab, kubectl, changes, &answers).await;
    stop.store(true, Ordering::Relaxed);
    prober.await??.context("the prober")?;
    result
}

async fn toggle(
    lab: &Lab,
    kubectl: &Kubectl,
    changes: usize,
    answers: &Mutex<Answers>,
) -> anyhow::Result<Samples> {
    let api = kube::Api::<NetworkPolicy>::namespaced(lab.client(), "bench");
    let mut events = Box::pin(watcher(api, watcher::Config::default()).applied_objects());
    let mut samples = Samples::default();
    kubectl.apply(CLOSED).await?;
    lab.settled(PATIENCE).await?;
    for change in 0..changes {
        let (yaml, open) = if change % 2 == 0 {
            (OPEN, true)
        } else {
            (CLOSED, false)
        };
        let started = Instant::now();
        let (applied, event) = tokio::join!(kubectl.apply(yaml), next_toggle(&mut events, open));
        applied?;
        let returned = Instant::now();
        let event = event?;
        let changed = loop {
            if let Some(at) = answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .turned(open, started)
            {
                break at;
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "change {change}: the verdict did not turn {}",
                if open { "open" } else { "closed" }
            );
            tokio::time::sleep(INTERVAL).await;
        };
        let ms = |since: Instant| changed.saturating_duration_since(since).as_secs_f64() * 1e3;
        samples.since_event.push(ms(event));
        samples.since_return.push(ms(returned));
    }
    Ok(samples)
}

async fn next_toggle<S>(events: &mut S, open: bool) -> anyhow::Result<Instant>
where
    S: futures::Stream<Item = Result<NetworkPolicy, watcher::Error>> + Unpin,
{
    let wanted = async {
        while let Some(policy) = events.next().await {
            let policy = policy?;
            let rules = policy
                .spec
                .and_then(|spec| spec.ingress)
                .unwrap_or_default();
            if policy.metadata.name.as_deref() == Some("toggle") && rules.is_empty() != open {
                return Ok(Instant::now());
            }
        }
        anyhow::bail!("the watch ended")
    };
    tokio::time::timeout(PATIENCE, wanted)
        .await
        .context("no event for the change")?
}

impl Answers {
    /// When the verdict turned: the first answered probe sent after `since`; or the first one without
    /// an answer behind which ten more had none either (a late answer is no verdict).
    fn turned(&mut self, open: bool, since: Instant) -> Option<Instant> {
        while self.probes.front().is_some_and(|(sent, _)| *sent < since) {
            self.probes.pop_front();
        }
        if open {
            return self
                .probes
                .iter()
                .find(|(_, answered)| *answered)
                .map(|(sent, _)| *sent);
        }
        let silent = self
            .probes
            .iter()
            .rev()
            .take_while(|(_, answered)| !answered)
            .count();
        let first_silent = self.probes.len() - silent;
        (silent > 10)
            .then(|| self.probes.get(first_silent).map(|(sent, _)| *sent))
            .flatten()
    }
}

fn probe(server: SocketAddr, answers: &Mutex<Answers>, stop: &AtomicBool) -> anyhow::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(INTERVAL))?;
    let (mut sent_at, mut buffer) = (VecDeque::<(u64, Instant)>::new(), [0; 512]);
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let now = Instant::now();
        // Refused while nobody listens yet, unreachable while blocked: both are "no answer".
        let _ = socket.send(format!("{number}\n").as_bytes());
        sent_at.push_back((number, now));
        answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .probes
            .push_back((now, false));
        while let Ok(length) = socket.recv(&mut buffer) {
            let answer = String::from_utf8_lossy(&buffer[..length]);
            let echoed = answer
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|d| d.parse::<u64>().ok())
                .next_back();
            while let Some((number, at)) = sent_at.front().copied() {
                if Some(number) > echoed {
                    break;
                }
                sent_at.pop_front();
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                if Some(number) == echoed
                    && let Ok(position) =
                        answers.probes.binary_search_by_key(&at, |(sent, _)| *sent)
                {
                    answers.probes[position].1 = true;
                }
            }
            if now.elapsed() >= INTERVAL {
                break;
            }
        }
        std::thread::sleep(INTERVAL.saturating_sub(now.elapsed()));
    }
    Ok(())
}
