//! A small DNS server: the cluster's own names, over UDP and TCP (RFC 1035, RFC 7766), authoritative,
//! without recursion. What the names mean is [`crate::cluster::zone`]'s.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use socket2::Type;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{Host, Servers, tcp, udp};
use crate::cluster::Cluster;
use crate::cluster::zone::Found;

/// The port of DNS.
pub(crate) const PORT: u16 = 53;
/// CoreDNS' default for cluster names, in seconds.
const TIME_TO_LIVE: u32 = 5;

/// Serves the cluster's names on port 53 of the pod.
pub(crate) async fn start(host: &Host, cluster: &Arc<Cluster>) -> Result<Servers> {
    let mut servers = Servers::new();
    let addresses: Vec<SocketAddr> = host
        .addresses
        .iter()
        .map(|address| SocketAddr::new(*address, PORT))
        .collect();
    for socket in udp::bind(host, addresses.clone()).await? {
        servers.spawn(serve_udp(socket, Arc::clone(cluster)));
    }
    let listeners = host.namespace.run(move || {
        let listeners = addresses
            .into_iter()
            .map(|a| tcp::listen(a, Type::STREAM, None));
        listeners.collect::<Result<Vec<_>>>()
    });
    for listener in listeners.await?? {
        servers.spawn(serve_tcp(listener, Arc::clone(cluster)));
    }
    Ok(servers)
}

async fn serve_udp(socket: UdpSocket, cluster: Arc<Cluster>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let Ok((read, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Some(answer) = answer(&cluster, &buffer[..read]) else {
            continue;
        };
        // What does not fit is asked for again over TCP.
        let room = usize::from(answer.max_payload());
        let bytes = match answer.to_vec() {
            Ok(bytes) if bytes.len() > room => answer.truncate().to_vec(),
            bytes => bytes,
        };
        if let Ok(bytes) = bytes {
            let _ = socket.send_to(&bytes, peer).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, cluster: Arc<Cluster>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(converse(stream, Arc::clone(&cluster)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Several questions may follow each other on one connection, each after its length.
async fn converse(mut stream: TcpStream, cluster: Arc<Cluster>) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let Some(bytes) = answer(&cluster, &question).and_then(|answer| answer.to_vec().ok())
        else {
            return Ok(());
        };
        let Ok(length) = u16::try_from(bytes.len()) else {
            return Ok(());
        };
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&bytes).await?;
    }
}

/// The answer to a question; `None` for what is none.
fn answer(cluster: &Cluster, bytes: &[u8]) -> Option<Message> {
    let question = Message::from_vec(bytes).ok()?;
    if question.metadata.message_type != MessageType::Query {
        return None;
    }
    let id = question.metadata.id;
    let code = question.metadata.op_code;
    let query = match question.queries.as_slice() {
        [query] if code == OpCode::Query && query.query_class == DNSClass::IN => query,
        _ => return Some(Message::error_msg(id, code, ResponseCode::NotImp)),
    };
    let mut answer = Message::response(id, code);
    answer.metadata.authoritative = true;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.edns.clone_from(&question.edns);
    answer.add_query(query.clone());
    match cluster.lookup(&query.name.to_lowercase().to_ascii()) {
        Found::Addresses(addresses) => {
            for address in addresses {
                answer
                    .answers
                    .extend(record(&query.name, query.query_type, address));
            }
        }
        Found::Nothing => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(answer)
}

/// The record for an address, when that type was asked for.
fn record(name: &Name, asked: RecordType, address: IpAddr) -> Option<Record> {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    let wanted = asked == RecordType::ANY || asked == data.record_type();
    wanted.then(|| Record::from_rdata(name.clone(), TIME_TO_LIVE, data))
}
