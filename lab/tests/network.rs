//! Pods, Services and names, with real packets and without any sidecar.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::collections::BTreeSet;

use common::{PATIENCE, lab, permitted};
use sidewall::net::Protocol;
use sidewall_lab::{Outcome, Pod, Point, ResolveError, Target};

async fn connect(from: &Pod, target: impl Into<Target>, protocol: Protocol) -> Outcome {
    from.connect(&target.into(), protocol, PATIENCE).await
}

fn reply(outcome: Outcome) -> String {
    match outcome {
        Outcome::Connected { reply, .. } => reply,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_reach_each_other_by_every_protocol_and_family_and_a_closed_port_refuses() {
    if !permitted() {
        return;
    }
    let lab = lab().await;
    let (client, one) = (
        lab.pod("other/client").unwrap(),
        lab.pod("shop/one").unwrap(),
    );
    for address in one.addresses() {
        for protocol in Protocol::WITH_PORTS {
            let line = reply(connect(&client, (*address, 80), protocol).await);
            assert!(line.starts_with("shop/one saw "), "{line}");
            assert!(line.ends_with(&format!(" over {protocol}")), "{line}");
            let closed = connect(&client, (*address, 99), protocol).await;
            assert_eq!(closed, Outcome::Refused, "{protocol} {address}");
        }
    }
    lab.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_translated_to_each_of_its_endpoints_on_their_own_ports() {
    if !permitted() {
        return;
    }
    let lab = lab().await;
    let client = lab.pod("other/client").unwrap();
    let addresses = client.resolve("web.shop").await.unwrap();
    assert!(addresses.iter().any(|address| address.is_ipv4()));
    for address in addresses {
        for protocol in Protocol::WITH_PORTS {
            let mut answered = BTreeSet::new();
            // That one of two is never met in 24 tries happens once in 2^23.
            for _ in 0..24 {
                let line = reply(connect(&client, (address, 8000), protocol).await);
                answered.insert(line.split(' ').next().unwrap().to_owned());
            }
            let both = BTreeSet::from(["shop/one".to_owned(), "shop/two".to_owned()]);
            assert_eq!(answered, both, "{protocol} {address}");
        }
    }
    let nobody = connect(&client, ("nobody.shop", 80), Protocol::TCP).await;
    assert_eq!(nobody, Outcome::Refused);
    lab.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_answered_over_udp_and_tcp_and_a_wrong_name_is_no_name() {
    if !permitted() {
        return;
    }
    let lab = lab().await;
    let client = lab.pod("other/client").unwrap();
    let (one, two) = (lab.pod("shop/one").unwrap(), lab.pod("shop/two").unwrap());
    // Over UDP, by the search list and in full.
    let short = one.resolve("web").await.unwrap();
    assert_eq!(
        short,
        client.resolve("web.shop.svc.cluster.local").await.unwrap()
    );
    // A headless Service is its pods, and a pod with a host name has a name under it.
    let pods: BTreeSet<_> = client
        .resolve("headless.shop")
        .await
        .unwrap()
        .into_iter()
        .collect();
    let both: BTreeSet<_> = [&one, &two]
        .iter()
        .flat_map(|pod| pod.addresses().to_vec())
        .collect();
    assert_eq!(pods, both);
    let second = client.resolve("second.headless.shop").await.unwrap();
    assert_eq!(second.len(), two.addresses().len());
    for wrong in ["web", "nothing.shop", "second.web.shop", "example.com."] {
        assert_eq!(
            client.resolve(wrong).await,
            Err(ResolveError::NoSuchName),
            "{wrong}"
        );
    }
    // Over TCP, by hand: two questions on one connection.
    let server = lab.pod("kube-system/coredns").unwrap().addresses()[0];
    let asked = client
        .within(move || ask_over_tcp(server, "web.shop.svc.cluster.local."))
        .await;
    assert_eq!(asked.unwrap().unwrap(), [short[0], short[0]]);
    lab.stop().await.unwrap();
}

fn ask_over_tcp(server: std::net::IpAddr, name: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
    use hickory_proto::op::{Message, Query};
    use hickory_proto::rr::{Name, RData, RecordType};
    use std::io::{Read as _, Write as _};

    let mut stream = std::net::TcpStream::connect_timeout(&(server, 53).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut found = Vec::new();
    for _ in 0..2 {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        let bytes = question.to_vec().unwrap();
        stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes())?;
        stream.write_all(&bytes)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        for record in Message::from_vec(&answer).unwrap().answers {
            if let RData::A(address) = record.data {
                found.push(address.0.into());
            }
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_outside_reaches_pods_with_its_own_address_and_is_reached() {
    if !permitted() {
        return;
    }
    let lab = lab().await;
    let addresses = [
        "203.0.113.9".parse().unwrap(),
        "2001:db8::9".parse().unwrap(),
    ];
    let outside = lab.outside(&addresses, &[443]).await.unwrap();
    let one = lab.pod("shop/one").unwrap();
    for (theirs, ours) in addresses.iter().zip(one.addresses()) {
        let line = reply(connect(&outside, (*ours, 80), Protocol::TCP).await);
        assert!(line.contains(&theirs.to_string()), "{line}");
        let line = reply(connect(&one, (*theirs, 443), Protocol::UDP).await);
        assert!(line.contains(&ours.to_string()), "{line}");
    }
    lab.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_sees_what_is_delivered_and_what_passes_an_interface() {
    if !permitted() {
        return;
    }
    let lab = lab().await;
    let (client, one) = (
        lab.pod("other/client").unwrap(),
        lab.pod("shop/one").unwrap(),
    );
    let eth0 = Point::Interface("eth0".to_owned());
    let sent = lab.capture("other/client", eth0).await.unwrap();
    let bridged = lab
        .capture("node", Point::Interface("cni0".to_owned()))
        .await;
    assert!(bridged.is_ok());
    let delivered = lab.capture("shop/one", Point::Delivered).await.unwrap();
    let elsewhere = lab.capture("shop/two", Point::Delivered).await.unwrap();
    for address in one.addresses() {
        reply(connect(&client, (*address, 80), Protocol::TCP).await);
        reply(connect(&client, (*address, 80), Protocol::UDP).await);
    }
    let families = one.addresses().len();
    assert_eq!(
        sent.count(|packet| packet.is_syn() && !packet.incoming),
        families
    );
    assert_eq!(delivered.count(|packet| packet.is_syn()), families);
    let datagrams = delivered
        .count(|packet| packet.protocol == Protocol::UDP && packet.destination.port() == 80);
    assert_eq!(datagrams, families);
    assert_eq!(elsewhere.count(|packet| packet.is_syn()), 0);
    assert!(
        lab.capture("shop/one", Point::Interface("eth9".to_owned()))
            .await
            .is_err()
    );
    lab.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_inside_of_a_pod() {
    if !permitted() {
        return;
    }
    let lab = lab().await;
    let one = lab.pod("shop/one").unwrap();
    let output = one.exec("cat", ["/proc/net/fib_trie"]).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&one.ipv4().unwrap().to_string()), "{text}");
    assert!(one.exec("no-such-command", [""; 0]).await.is_err());
    lab.stop().await.unwrap();
}
