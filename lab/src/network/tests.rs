//! With real namespaces, without any Kubernetes.

use super::*;
use crate::machine::nft::{self, Translation};
use crate::serve::{self, Host};
use sidewall::net::Protocol;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn try_it() {
    let t = std::time::Instant::now();
    let claim = Arc::new(Claim::new().unwrap());
    for fwd in [Forwarding::Bridged, Forwarding::Routed] {
        let net = Network::new(
            Arc::clone(&claim),
            Plan::new(&Taken::new(), vec![]),
            fwd,
            1500,
        )
        .await
        .unwrap();
        eprintln!("node {:?}", t.elapsed());
        let mut pods = vec![];
        for n in 0..10 {
            pods.push(
                net.attach(&format!("ns/p{n}"), &[], Place::Cluster)
                    .await
                    .unwrap(),
            );
        }
        pods.push(
            net.attach("ns/odd", &["192.168.7.7".parse().unwrap()], Place::Cluster)
                .await
                .unwrap(),
        );
        pods.push(
            net.attach(
                "out/odd",
                &[
                    "203.0.113.9".parse().unwrap(),
                    "2001:db8::9".parse().unwrap(),
                ],
                Place::Outside,
            )
            .await
            .unwrap(),
        );
        eprintln!("pods {:?}", t.elapsed());
        let mut srv = vec![];
        for (n, p) in pods.iter().enumerate() {
            let host = Host {
                name: format!("ns/p{n}").into(),
                namespace: Arc::clone(&p.namespace),
                addresses: p.addresses.clone(),
            };
            srv.push(
                serve::start(
                    &host,
                    &[
                        (Protocol::TCP, 80),
                        (Protocol::UDP, 80),
                        (Protocol::SCTP, 80),
                    ],
                )
                .await
                .unwrap(),
            );
        }
        let vip4: IpAddr = "10.96.0.10".parse().unwrap();
        let vip6: IpAddr = "fd00:10:96::10".parse().unwrap();
        let mut tr = vec![];
        for (vip, six) in [(vip4, false), (vip6, true)] {
            for protocol in Protocol::WITH_PORTS {
                tr.push(Translation {
                    address: vip,
                    protocol,
                    port: 8080,
                    masquerade: false,
                    endpoints: pods[..3]
                        .iter()
                        .flat_map(|p| {
                            p.addresses
                                .iter()
                                .filter(|a| a.is_ipv6() == six)
                                .map(|a| (*a, 80))
                        })
                        .collect(),
                });
            }
            tr.push(Translation {
                address: vip,
                protocol: Protocol::TCP,
                port: 81,
                masquerade: false,
                endpoints: vec![],
            });
        }
        nft::program(net.node(), tr).await.unwrap();
        eprintln!("nft {:?}", t.elapsed());
        let ask = |from: &Attachment, to: SocketAddr| {
            let t0 = std::time::Instant::now();
            let r = from
                .namespace
                .run_blocking(move || {
                    let mut s = std::net::TcpStream::connect_timeout(&to, Duration::from_secs(2))
                        .map_err(|e| e.to_string())?;
                    s.write_all(b"hi\n").map_err(|e| e.to_string())?;
                    let mut b = [0; 200];
                    s.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                    let n = s.read(&mut b).map_err(|e| e.to_string())?;
                    Ok::<_, String>(String::from_utf8_lossy(&b[..n]).into_owned())
                })
                .unwrap();
            (t0.elapsed(), r)
        };
        for to in &pods {
            for a in &to.addresses {
                eprintln!("{a} {:?}", ask(&pods[9], SocketAddr::new(*a, 80)));
            }
        }
        for _ in 0..8 {
            eprintln!("vip4 {:?}", ask(&pods[9], SocketAddr::new(vip4, 8080)));
            eprintln!("vip6 {:?}", ask(&pods[9], SocketAddr::new(vip6, 8080)));
            eprintln!(
                "self {:?} {:?}",
                ask(&pods[0], SocketAddr::new(vip4, 8080)),
                ask(&pods[0], SocketAddr::new(vip6, 8080))
            );
            eprintln!("odd {:?}", ask(&pods[10], SocketAddr::new(vip4, 8080)));
            eprintln!("out {:?}", ask(&pods[11], SocketAddr::new(vip4, 8080)));
        }
        eprintln!("{:?}", ask(&pods[9], SocketAddr::new(vip4, 81)));
        eprintln!("{:?}", ask(&pods[9], SocketAddr::new(vip6, 81)));
        if std::env::var_os("HOLD").is_some() {
            eprintln!("{}", net.node().name());
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
    }
}
