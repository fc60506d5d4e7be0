//! A name looked up from within a pod, as a libc resolver with a kubelet's resolv.conf would.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::Pod;
use crate::cluster::zone::DOMAIN;
use crate::outcome::ResolveError;
use crate::serve::dns::PORT;

/// How long a look-up may take (resolv.conf's default timeout).
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// A name with fewer dots is tried with the search list first (a kubelet writes `ndots:5`).
const DOTS: usize = 5;

pub(super) async fn resolve(
    pod: &Pod,
    name: &str,
    patience: Duration,
) -> Result<Vec<IpAddr>, ResolveError> {
    let server = pod.cluster().dns_server().ok_or(ResolveError::NoServer)?;
    let deadline = Instant::now() + patience;
    let mut outcome = ResolveError::NoSuchName;
    for candidate in candidates(name, pod.namespace()) {
        let both = async {
            let v4 = query(pod, server, &candidate, RecordType::A).await?;
            let v6 = query(pod, server, &candidate, RecordType::AAAA).await?;
            Ok([v4, v6].concat())
        };
        match timeout_at(deadline, both).await {
            Err(_) => return Err(ResolveError::TimedOut(server)),
            Ok(Err(Failure::NoSuchName)) => {}
            Ok(Err(Failure::Other(error))) => return Err(error),
            Ok(Ok(addresses)) if addresses.is_empty() => outcome = ResolveError::NoAddress,
            Ok(Ok(addresses)) => return Ok(addresses),
        }
    }
    Err(outcome)
}

/// The names to try, in order.
fn candidates(name: &str, namespace: &str) -> Vec<String> {
    if name.ends_with('.') {
        return vec![name.to_owned()];
    }
    let searched = [
        format!("{name}.{namespace}.svc.{DOMAIN}."),
        format!("{name}.svc.{DOMAIN}."),
        format!("{name}.{DOMAIN}."),
    ];
    let as_it_is = [format!("{name}.")];
    if name.matches('.').count() < DOTS && !name.ends_with(DOMAIN) {
        [&searched[..], &as_it_is].concat()
    } else {
        [&as_it_is[..], &searched].concat()
    }
}

enum Failure {
    NoSuchName,
    Other(ResolveError),
}

async fn query(
    pod: &Pod,
    server: IpAddr,
    name: &str,
    kind: RecordType,
) -> Result<Vec<IpAddr>, Failure> {
    let bad = |why: String| Failure::Other(ResolveError::BadAnswer(why));
    let name = Name::from_ascii(name).map_err(|error| bad(error.to_string()))?;
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, kind));
    let bytes = question.to_vec().map_err(|error| bad(error.to_string()))?;
    let asked = async {
        let answer = ask_udp(pod, server, &bytes, question.metadata.id).await?;
        if answer.metadata.truncation {
            return ask_tcp(pod, server, &bytes).await;
        }
        Ok(answer)
    };
    let answer = asked.await.map_err(|error| {
        let why = error.to_string();
        Failure::Other(ResolveError::Unreachable { server, why })
    })?;
    match answer.metadata.response_code {
        ResponseCode::NoError => Ok(addresses(&answer)),
        ResponseCode::NXDomain => Err(Failure::NoSuchName),
        other => Err(bad(other.to_string())),
    }
}

fn addresses(answer: &Message) -> Vec<IpAddr> {
    let records = answer.answers.iter();
    records
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0.into()),
            RData::AAAA(address) => Some(address.0.into()),
            _ => None,
        })
        .collect()
}

async fn ask_udp(pod: &Pod, server: IpAddr, question: &[u8], id: u16) -> io::Result<Message> {
    let any: IpAddr = match server {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = pod.within(move || {
        let socket = std::net::UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(SocketAddr::new(server, PORT))?;
        UdpSocket::from_std(socket)
    });
    let socket = socket.await.map_err(io::Error::other)??;
    socket.send(question).await?;
    let mut buffer = [0; 4096];
    loop {
        let read = socket.recv(&mut buffer).await?;
        match Message::from_vec(&buffer[..read]) {
            Ok(answer) if answer.metadata.id == id => return Ok(answer),
            // Not an answer to this question: keep waiting.
            _ => {}
        }
    }
}

async fn ask_tcp(pod: &Pod, server: IpAddr, question: &[u8]) -> io::Result<Message> {
    let socket = pod.within(move || match server {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    });
    let socket = socket.await.map_err(io::Error::other)??;
    let mut stream = socket.connect(SocketAddr::new(server, PORT)).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_u16(length).await?;
    stream.write_all(question).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn a_short_name_is_looked_for_in_the_pods_own_namespace_first() {
        assert_eq!(
            candidates("db", "np-demo")[0],
            "db.np-demo.svc.cluster.local."
        );
        assert_eq!(candidates("db", "np-demo").last().unwrap(), "db.");
    }

    #[test]
    fn a_full_name_is_tried_as_it_is_first() {
        let full = "db.np-demo.svc.cluster.local";
        assert_eq!(candidates(full, "other")[0], format!("{full}."));
        assert_eq!(candidates("db.x.", "other"), ["db.x."]);
    }
}
