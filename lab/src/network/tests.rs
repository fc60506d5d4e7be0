//! With real namespaces, without any Kubernetes: both ways of forwarding, and Services on top.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use sidewall::net::Protocol;

use super::*;
use crate::machine::nft::{self, Services, Translation};
use crate::privileges;
use crate::serve::{self, Host, Servers};

const WAYS: [Forwarding; 2] = [Forwarding::Bridged, Forwarding::Routed];

struct Fixture {
    network: Network,
    places: Vec<Attachment>,
    _servers: Vec<Servers>,
}

impl Fixture {
    /// Two pods of the bridge's network, one of another, and a host outside; all serve port 80.
    async fn new(claim: &Arc<Claim>, way: Forwarding) -> Self {
        let plan = Plan::new(
            &Taken::new(),
            Vec::new(),
            &[
                "10.96.0.0/16".parse().unwrap(),
                "fd00:10:96::/112".parse().unwrap(),
            ],
        );
        let network = Network::new(Arc::clone(claim), plan, way, 1500)
            .await
            .unwrap();
        let mut places = Vec::new();
        for (name, addresses, place) in [
            ("a/one", vec![], Place::Cluster),
            ("a/two", vec![], Place::Cluster),
            ("a/odd", vec!["192.168.7.7", "fd07::7"], Place::Cluster),
            (
                "outside/host",
                vec!["203.0.113.9", "2001:db8::9"],
                Place::Outside,
            ),
        ] {
            let given: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            places.push(network.attach(name, &given, place).await.unwrap());
        }
        let mut servers = Vec::new();
        for (place, name) in places.iter().zip(["one", "two", "odd", "host"]) {
            let host = Host {
                name: name.into(),
                namespace: Arc::clone(&place.namespace),
                addresses: place.addresses.clone(),
            };
            servers.push(serve::start(&host, &[(Protocol::TCP, 80)]).await.unwrap());
        }
        Self {
            network,
            places,
            _servers: servers,
        }
    }
}

/// What the other side says, with the address it saw.
fn ask(from: &Attachment, to: SocketAddr) -> Result<String, std::io::ErrorKind> {
    let talk = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"hi\n")?;
        let mut buffer = [0; 256];
        let read = stream.read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
    };
    from.namespace
        .run_blocking(talk)
        .unwrap()
        .map_err(|error| error.kind())
}

fn permitted() -> bool {
    match privileges::check() {
        Ok(()) => true,
        Err(why) if std::env::var("CI").as_deref() == Ok("true") => {
            panic!("CI has to permit this: {why:#}")
        }
        Err(why) => {
            eprintln!("SKIPPED: {why:#}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_reaches_everyone_with_the_true_source_whether_bridged_or_routed() {
    if !permitted() {
        return;
    }
    let claim = Arc::new(Claim::new().unwrap());
    for way in WAYS {
        let fixture = Fixture::new(&claim, way).await;
        for from in &fixture.places {
            for to in &fixture.places {
                for (source, address) in from.addresses.iter().zip(&to.addresses) {
                    let line = ask(from, SocketAddr::new(*address, 80));
                    let line =
                        line.unwrap_or_else(|error| panic!("{way:?} {source} {address} {error}"));
                    let seen = SocketAddr::new(*source, 0).to_string();
                    let seen = seen.trim_end_matches('0');
                    assert!(line.contains(&format!("saw {seen}")), "{way:?}: {line}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_spreads_over_its_endpoints_reaches_itself_and_rejects_the_rest() {
    if !permitted() {
        return;
    }
    let claim = Arc::new(Claim::new().unwrap());
    let vips: [IpAddr; 2] = [
        "10.96.0.10".parse().unwrap(),
        "fd00:10:96::10".parse().unwrap(),
    ];
    for way in WAYS {
        let fixture = Fixture::new(&claim, way).await;
        let places = &fixture.places;
        let service = |n: usize, port: u16, endpoints: &[&Attachment]| Translation {
            address: vips[n],
            protocol: Protocol::TCP,
            port,
            endpoints: endpoints
                .iter()
                .map(|place| (place.addresses[n], 80))
                .collect(),
            masquerade: false,
        };
        let both = [&places[0], &places[1]];
        let translations = [0, 1]
            .into_iter()
            .flat_map(|n| [service(n, 8080, &both), service(n, 81, &[])]);
        let wanted = Services {
            translations: translations.collect(),
            cluster_ips: vips.to_vec(),
        };
        nft::program(fixture.network.node(), wanted.clone())
            .await
            .unwrap();
        // A second time: the table is replaced.
        nft::program(fixture.network.node(), wanted).await.unwrap();
        for vip in vips {
            for from in places {
                let mut answered = BTreeSet::new();
                // That one of two is never met in 24 tries happens once in 2^23.
                for _ in 0..24 {
                    let line = ask(from, SocketAddr::new(vip, 8080)).unwrap();
                    answered.insert(line.split(' ').next().unwrap().to_owned());
                }
                assert_eq!(
                    answered,
                    BTreeSet::from(["one".to_owned(), "two".to_owned()]),
                    "{way:?}"
                );
                for port in [81, 82] {
                    let none = ask(from, SocketAddr::new(vip, port));
                    assert_eq!(
                        none,
                        Err(std::io::ErrorKind::ConnectionRefused),
                        "{way:?} {vip}"
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_gone_with_the_claim_and_a_live_claim_is_never_swept() {
    if !permitted() {
        return;
    }
    let names = |claim: &Claim| crate::machine::namespace::names_with_prefix(&claim.prefix()).len();
    let claim = Arc::new(Claim::new().unwrap());
    let fixture = Fixture::new(&claim, Forwarding::Auto).await;
    assert_eq!(names(&claim), 5);
    // Claiming sweeps.
    let other = Claim::new().unwrap();
    assert_ne!(other.id(), claim.id());
    assert_eq!(names(&claim), 5);
    fixture.network.detach(&fixture.places[0]).await;
    assert_eq!(names(&claim), 4);
    claim.release();
    assert_eq!(names(&claim), 0);
    assert!(!claim.folder().exists());
}
