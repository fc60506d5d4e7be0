//! A sidecar dies without warning: nothing passes while it is down, and what was allowed resumes
//! when it is back.

use std::net::SocketAddr;
use std::time::Duration;

use sidewall::net::Protocol;
use sidewall_integration::{can_run_lab, transfer::Transfer};
use sidewall_lab::{Lab, Outcome, Point, Target};

const CLUSTER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: crash, labels: {app: client}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 9000}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: crash, labels: {app: stranger}}
spec: {containers: [{name: c, image: example.org/c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: crash, labels: {app: server, sidewall.dev/inject: enabled}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 8080}, {containerPort: 8080, protocol: UDP}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server, namespace: crash}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}, {port: 8080, protocol: UDP}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 9000}]}]
"#;

const QUICK: Duration = Duration::from_millis(800);

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_nothing_passes_and_after_a_restart_both_transfers_resume()
-> anyhow::Result<()> {
    if !can_run_lab("crash") {
        return Ok(());
    }
    let lab = Lab::builder().yaml(CLUSTER).start().await?;
    lab.settled(Duration::from_secs(10)).await?;
    let (client, server, stranger) = (
        lab.pod("crash/client")?,
        lab.pod("crash/server")?,
        lab.pod("crash/stranger")?,
    );
    for (family, to, back) in [
        ("IPv4", server.ipv4(), client.ipv4()),
        ("IPv6", server.ipv6(), client.ipv6()),
    ] {
        let (to, back) = (to.expect(family), back.expect(family));
        let (server_address, client_address) =
            (SocketAddr::new(to, 8080), SocketAddr::new(back, 9000));
        let inward = Transfer::start(&client, server_address);
        let outward = Transfer::start(&server, client_address);
        assert!(
            inward.moves(Duration::from_secs(5)).await,
            "{family}: the transfer towards the pod never moved"
        );
        assert!(
            outward.moves(Duration::from_secs(5)).await,
            "{family}: the transfer from the pod never moved"
        );

        let sidecar = server.sidecar().expect("a sidecar");
        sidecar.kill_hard().await?;
        // What was in flight may still be counted.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let delivered = lab.capture("crash/server", Point::Delivered).await?;
        let arrived = lab
            .capture("crash/client", Point::Interface("eth0".to_owned()))
            .await?;
        assert!(
            !inward.moves(QUICK).await,
            "{family}: bytes came in while the sidecar was dead"
        );
        assert!(
            !outward.moves(QUICK).await,
            "{family}: bytes went out while the sidecar was dead"
        );
        for (name, from) in [("an allowed peer", &client), ("a stranger", &stranger)] {
            for protocol in [Protocol::TCP, Protocol::UDP] {
                let outcome = from
                    .connect(&Target::from(server_address), protocol, QUICK)
                    .await;
                assert!(
                    !outcome.is_connected(),
                    "{family}: {name} got in over {protocol}: {outcome}"
                );
            }
        }
        let outcome = server
            .connect(&Target::from(client_address), Protocol::TCP, QUICK)
            .await;
        assert!(
            !outcome.is_connected(),
            "{family}: the pod got out: {outcome}"
        );
        let from_client = delivered.count(|seen| seen.incoming && seen.source.ip() == back);
        assert_eq!(
            from_client, 0,
            "{family}: packets reached the pod's sockets"
        );
        let from_server = arrived.count(|seen| seen.incoming && seen.source.ip() == to);
        assert_eq!(from_server, 0, "{family}: packets left the pod");

        sidecar.restart().await?;
        sidecar.wait_ready(Duration::from_secs(10)).await?;
        // Retransmissions back off while nothing passes (RFC 6298 §5.5): seconds, not milliseconds.
        assert!(
            inward.moves(Duration::from_secs(20)).await,
            "{family}: the transfer towards the pod did not resume"
        );
        assert!(
            outward.moves(Duration::from_secs(20)).await,
            "{family}: the transfer from the pod did not resume"
        );
        let outcome = stranger
            .connect(&Target::from(server_address), Protocol::TCP, QUICK)
            .await;
        assert_eq!(
            outcome,
            Outcome::TimedOut,
            "{family}: the restarted sidecar does not block"
        );
        inward.finish().await?;
        outward.finish().await?;
    }
    lab.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_asked_to_end_leaves_the_pod_closed() -> anyhow::Result<()> {
    if !can_run_lab("sigterm") {
        return Ok(());
    }
    let lab = Lab::builder().yaml(CLUSTER).start().await?;
    lab.settled(Duration::from_secs(10)).await?;
    let (client, server) = (lab.pod("crash/client")?, lab.pod("crash/server")?);
    let address = Target::from((server.ipv4().expect("IPv4"), 8080));
    assert!(
        client
            .connect(&address, Protocol::TCP, QUICK)
            .await
            .is_connected()
    );
    server.sidecar().expect("a sidecar").terminate().await?;
    let outcome = client.connect(&address, Protocol::TCP, QUICK).await;
    assert_eq!(outcome, Outcome::TimedOut, "SIGTERM must not open the pod");
    lab.stop().await
}
