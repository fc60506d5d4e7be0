//! Policies through the API server, real connections, real sidecars: what a user sees.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::Value;
use sidewall::net::Protocol;
use sidewall_integration::{can_run_lab, kubectl::Kubectl, transfer::Transfer};
use sidewall_lab::{Lab, Outcome, Point, Target};

const CLUSTER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client, sidewall.dev/inject: enabled}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 9000}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: shop, labels: {app: server, sidewall.dev/inject: enabled}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 8080}, {containerPort: 8080, protocol: UDP}]}]}
"#;

const DENY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}
"#;

const ALLOW_GOLD: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-gold, namespace: shop}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {tier: gold}}}], ports: [{port: 8080}]}]
"#;

const DENY_EGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-egress, namespace: shop}
spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress]}
"#;

const SETTLE: Duration = Duration::from_secs(10);
const QUICK: Duration = Duration::from_millis(800);

async fn lab() -> anyhow::Result<Lab> {
    let lab = Lab::builder().yaml(CLUSTER).start().await?;
    lab.settled(SETTLE).await?;
    Ok(lab)
}

/// The first line of the flow log that says this of a packet to the server's port, or none in time.
async fn logged(
    lines: impl futures::Stream<Item = sidewall_lab::FlowLine> + Unpin,
    verdict: &str,
) -> Option<Value> {
    let mut wanted = lines.filter(|line| {
        let text = |pointer: &str| line.flow.pointer(pointer).and_then(Value::as_str);
        let hit = text("/flow/verdict") == Some(verdict);
        futures::future::ready(hit)
    });
    let line = tokio::time::timeout(Duration::from_secs(3), wanted.next())
        .await
        .ok()??;
    Some((*line.flow).clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_syn_arrives_at_eth0_and_never_reaches_the_application() -> anyhow::Result<()> {
    if !can_run_lab("blocked SYN") {
        return Ok(());
    }
    let lab = lab().await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    for address in server.addresses().to_vec() {
        let target = Target::from((address, 8080));
        for protocol in [Protocol::TCP, Protocol::UDP] {
            assert!(
                client
                    .connect(&target, protocol, QUICK)
                    .await
                    .is_connected(),
                "{address} {protocol}: open at first"
            );
        }
    }
    lab.apply(DENY).await?;
    lab.settled(SETTLE).await?;
    for address in server.addresses().to_vec() {
        let target = Target::from((address, 8080));
        let eth0 = lab
            .capture("shop/server", Point::Interface("eth0".to_owned()))
            .await?;
        let delivered = lab.capture("shop/server", Point::Delivered).await?;
        let lines = lab.flows().live();
        let outcome = client.connect(&target, Protocol::TCP, QUICK).await;
        assert_eq!(
            outcome,
            Outcome::TimedOut,
            "{address}: a stranger learns nothing"
        );
        let to_server = |seen: &sidewall_lab::Seen| {
            seen.incoming && seen.is_syn() && seen.destination.port() == 8080
        };
        assert!(
            eth0.wait_for(to_server, QUICK).await,
            "{address}: the SYN never came, nothing was proved"
        );
        assert_eq!(
            delivered.count(to_server),
            0,
            "{address}: the SYN reached the application"
        );
        let line = logged(Box::pin(lines), "DROPPED")
            .await
            .expect("a line in the flow log");
        assert_eq!(
            line.pointer("/flow/traffic_direction"),
            Some(&Value::from("INGRESS"))
        );
        assert_eq!(
            line.pointer("/flow/destination/pod_name"),
            Some(&Value::from("server"))
        );
        assert_eq!(
            line.pointer("/flow/source/pod_name"),
            Some(&Value::from("client"))
        );
    }
    lab.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_opens_and_closes_at_once_and_cuts_a_running_connection() -> anyhow::Result<()> {
    if !can_run_lab("labels") {
        return Ok(());
    }
    let lab = lab().await?;
    let Some(kubectl) = Kubectl::find(lab.kubeconfig()) else {
        return lab.stop().await;
    };
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    let address = std::net::SocketAddr::new(server.ipv4().expect("IPv4"), 8080);
    kubectl.apply(ALLOW_GOLD).await?;
    lab.settled(SETTLE).await?;
    assert_eq!(
        client.connect(&address.into(), Protocol::TCP, QUICK).await,
        Outcome::TimedOut
    );
    kubectl
        .run(&["-n", "shop", "label", "pod", "client", "tier=gold"], "")
        .await?;
    lab.settled(SETTLE).await?;
    let transfer = Transfer::start(&client, address);
    assert!(
        transfer.moves(Duration::from_secs(5)).await,
        "the label did not open"
    );
    let lines = lab.flows().live();
    kubectl
        .run(&["-n", "shop", "label", "pod", "client", "tier-"], "")
        .await?;
    lab.settled(SETTLE).await?;
    assert!(
        !transfer.moves(QUICK).await,
        "the established connection went on"
    );
    let line = logged(Box::pin(lines), "DROPPED")
        .await
        .expect("the revocation is logged");
    assert!(line.to_string().contains("policy-changed"), "{line}");
    lab.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_application_fails_at_once_and_a_bound_device_does_not_get_round()
-> anyhow::Result<()> {
    if !can_run_lab("egress") {
        return Ok(());
    }
    let lab = lab().await?;
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    lab.apply(DENY_EGRESS).await?;
    lab.settled(SETTLE).await?;
    let eth0 = lab
        .capture("shop/server", Point::Interface("eth0".to_owned()))
        .await?;
    for address in server.addresses().to_vec() {
        let started = Instant::now();
        let outcome = client
            .connect(
                &Target::from((address, 8080)),
                Protocol::TCP,
                Duration::from_secs(5),
            )
            .await;
        assert_eq!(outcome, Outcome::Refused, "{address}");
        // A refusal answers the first SYN; a timeout would wait for a second one (RFC 6298: 1 s).
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{address}: took {:?}",
            started.elapsed()
        );
        let outcome = client
            .connect(&Target::from((address, 8080)), Protocol::UDP, QUICK)
            .await;
        assert!(
            matches!(outcome, Outcome::Refused | Outcome::Unreachable(_)),
            "{address} UDP: {outcome}"
        );
        let bound = client
            .within(move || {
                let socket = socket2::Socket::new(
                    socket2::Domain::for_address((address, 8080).into()),
                    socket2::Type::STREAM,
                    None,
                )?;
                socket.bind_device(Some(b"eth0"))?;
                socket.connect_timeout(&std::net::SocketAddr::new(address, 8080).into(), QUICK)
            })
            .await?;
        assert!(
            bound.is_err(),
            "{address}: SO_BINDTODEVICE got round the sidecar"
        );
    }
    let source = client.addresses().to_vec();
    let leaked = eth0.count(|seen| {
        seen.incoming && seen.destination.port() == 8080 && source.contains(&seen.source.ip())
    });
    assert_eq!(leaked, 0, "packets left the pod");
    lab.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_lets_everything_pass_and_says_what_would_have_been_blocked() -> anyhow::Result<()> {
    if !can_run_lab("audit") {
        return Ok(());
    }
    let lab = lab().await?;
    let Some(kubectl) = Kubectl::find(lab.kubeconfig()) else {
        return lab.stop().await;
    };
    let (client, server) = (lab.pod("shop/client")?, lab.pod("shop/server")?);
    let target = Target::from((server.ipv4().expect("IPv4"), 8080));
    lab.apply(DENY).await?;
    lab.settled(SETTLE).await?;
    kubectl
        .run(
            &[
                "-n",
                "shop",
                "annotate",
                "pod",
                "server",
                "sidewall.dev/mode=audit",
            ],
            "",
        )
        .await?;
    let sidecar = server.sidecar().expect("a sidecar");
    let deadline = Instant::now() + SETTLE;
    while sidecar.get("/policy").await?.get("mode") != Some(&Value::from("audit")) {
        assert!(Instant::now() < deadline, "the annotation was not taken up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lines = lab.flows().live();
    assert!(
        client
            .connect(&target, Protocol::TCP, QUICK)
            .await
            .is_connected(),
        "audit must not block"
    );
    assert!(
        logged(Box::pin(lines), "AUDIT").await.is_some(),
        "audit must say what it would have blocked"
    );
    lab.stop().await
}
