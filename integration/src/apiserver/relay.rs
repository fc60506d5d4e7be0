//! A way to the API server that can be slow, or cut: bytes are handed on, and nothing is known of
//! them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// What the way is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Every piece of an answer waits for so long.
    Slow(Duration),
    /// Connections end, and none comes about.
    Cut,
}

/// The way. It ends, with its connections, when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    way: Arc<watch::Sender<Way>>,
    _task: AbortOnDropHandle<()>,
}

impl Relay {
    pub(super) async fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let way = Arc::new(watch::Sender::new(Way::Open));
        let task = tokio::spawn(accept(listener, to, Arc::clone(&way)));
        Ok(Self {
            address,
            way,
            _task: AbortOnDropHandle::new(task),
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection, and lets none come about.
    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    /// Has every piece of an answer wait.
    pub fn slow(&self, delay: Duration) {
        self.way.send_replace(Way::Slow(delay));
    }

    /// As it was at first.
    pub fn open(&self) {
        self.way.send_replace(Way::Open);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, way: Arc<watch::Sender<Way>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let way = way.subscribe();
                if *way.borrow() != Way::Cut {
                    connections.spawn(carry(client, to, way));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(client: TcpStream, to: SocketAddr, mut way: watch::Receiver<Way>) {
    let pace = way.clone();
    let copied = async {
        let server = TcpStream::connect(to).await?;
        // A watch event is one small write: it must not wait for an acknowledgement (RFC 896).
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let questions = tokio::io::copy(&mut from_client, &mut to_server);
        let answers = async {
            let mut piece = vec![0; 16 << 10];
            loop {
                let length = from_server.read(&mut piece).await?;
                if length == 0 {
                    return Ok(());
                }
                let delay = match *pace.borrow() {
                    Way::Slow(delay) => delay,
                    Way::Open | Way::Cut => Duration::ZERO,
                };
                tokio::time::sleep(delay).await;
                to_client.write_all(&piece[..length]).await?;
            }
        };
        tokio::select! {
            ended = questions => ended.map(drop),
            ended = answers => ended,
        }
    };
    tokio::select! {
        // Whichever end it was, the other one sees the connection end.
        _ = copied => {}
        _ = way.wait_for(|way| *way == Way::Cut) => {}
    }
}
