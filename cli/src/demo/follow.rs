//! The lab stays up: a KUBECONFIG line for kubectl, and the flow log of every sidecar as it comes.

use std::net::SocketAddr;
use std::process::ExitCode;

use futures::StreamExt as _;
use sidewall::flows::Verdict;
use sidewall::net::Protocol;
use sidewall_lab::Lab;

use super::evidence::Logged;
use crate::signals::interrupted;
use crate::story::{Action, Destination, Probe, Story};
use crate::ui;

/// Follows until Ctrl-C.
///
/// # Errors
/// When Ctrl-C cannot be caught.
pub(crate) async fn stay(
    lab: &Lab,
    story: &Story,
    page: Option<SocketAddr>,
) -> anyhow::Result<ExitCode> {
    ui::line(ui::paint(ui::GOOD, "✓ the lab is up"));
    ui::line("");
    if let Some(address) = page {
        let address = ui::paint(ui::COMMAND, format!("http://{address}/"));
        ui::line(format!("  See it:  {address}"));
        ui::line("");
    }
    for pod in lab.pods() {
        let addresses = pod
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ");
        let sidecar = if pod.sidecar().is_some() {
            "sidecar"
        } else {
            ""
        };
        ui::line(format!("  {:<28} {addresses:<40} {sidecar}", pod.name()));
    }
    ui::line("");
    ui::line("In another terminal:");
    ui::line("");
    ui::line(format!(
        "  {}",
        ui::paint(
            ui::COMMAND,
            format!("export KUBECONFIG={}", lab.kubeconfig().display())
        )
    ));
    for hint in hints(lab, story) {
        ui::line(format!("  {}", ui::paint(ui::COMMAND, hint)));
    }
    ui::line("");
    ui::line(ui::paint(
        ui::FAINT,
        "The flow log follows. Ctrl-C ends the lab and removes everything it made.",
    ));
    ui::line("");
    let mut lines = lab.flows().live();
    let mut interrupted = std::pin::pin!(interrupted());
    loop {
        tokio::select! {
            line = lines.next() => match line {
                Some(line) => Logged::read(&line).iter().for_each(show),
                None => break,
            },
            caught = &mut interrupted => {
                caught?;
                break;
            }
        }
    }
    ui::note("taking the lab down");
    Ok(ExitCode::SUCCESS)
}

/// A few things to type that work with this story.
fn hints(lab: &Lab, story: &Story) -> Vec<String> {
    let mut hints = vec!["kubectl get pods,svc,networkpolicies -A -o wide".to_owned()];
    if let Some(manifest) = story.steps.iter().flat_map(|step| &step.apply).next() {
        let file = story.folder.join(&manifest.name);
        hints.push(format!("kubectl apply -f {}", file.display()));
    }
    hints.extend(
        story
            .steps
            .iter()
            .flat_map(|step| &step.probes)
            .find_map(|probe| connect(lab, probe)),
    );
    hints
}

/// The command that makes a story's TCP probe by hand.
fn connect(lab: &Lab, probe: &Probe) -> Option<String> {
    let Action::Connect {
        to: Destination::Pod(to),
        port,
        protocol: Protocol::TCP,
    } = &probe.action
    else {
        return None;
    };
    let (from, to) = (
        lab.pod(&probe.from.to_string()).ok()?,
        lab.pod(&to.to_string()).ok()?,
    );
    let address = to.addresses().first()?;
    Some(format!(
        "ip netns exec {} nc -vz {address} {port}",
        from.netns()
    ))
}

fn show(line: &Logged) {
    let (style, word) = match line.verdict() {
        _ if line.is_end() => (ui::FAINT, "end"),
        Some(Verdict::Forwarded) => (ui::GOOD, "allow"),
        Some(Verdict::Dropped) => (ui::BAD, "block"),
        Some(Verdict::Audit) => (ui::WARN, "audit"),
        _ => return,
    };
    let at = ui::paint(ui::FAINT, format!("at {} ({})", line.pod, line.direction()));
    ui::line(format!(
        "{} {}  {at}",
        ui::paint(style, format!("{word:<5}")),
        line.headline()
    ));
    if word == "block" || word == "audit" {
        for text in line.why() {
            ui::line(format!("        {}", ui::paint(ui::FAINT, text)));
        }
    }
}
