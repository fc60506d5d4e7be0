//! What runs in the pods of the container and cluster tests: servers that say who they are, and
//! connections on request. Standard library only, so that an image of it is one small program.
//!
//! ```text
//! pod-app serve tcp/80 udp/80 http/8080 ask/9000   serve, and make connections for whoever asks on port 9000
//! pod-app ask tcp/10.0.0.1:80 …                    make connections, a line for each; exit code 1 if any failed
//! pod-app pause                                    do nothing
//! ```
//! On an `ask` port a client sends one line of targets and gets the same lines back.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

/// Enough for an answer on a busy machine; a blocked connection costs this much.
const PATIENCE: Duration = Duration::from_millis(1000);

/// What a client says first: a line, so that line-based servers answer it.
const HELLO: &[u8] = b"hello\n";

/// How often it is tried before no is the answer: a first SYN may be lost to a busy machine.
const TRIES: u32 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", servers @ ..] => serve(servers),
        ["ask", targets @ ..] => {
            let lines = ask(targets);
            let failed = lines.iter().any(|line| !line.contains(" connected "));
            io::stdout()
                .write_all((lines.join("\n") + "\n").as_bytes())
                .map(|()| failed)
        }
        ["pause"] => loop {
            thread::park();
        },
        _ => Err(io::Error::other(
            "usage: pod-app serve|ask|pause PROTOCOL/…",
        )),
    };
    match done {
        Ok(failed) => ExitCode::from(u8::from(failed)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "pod-app: {error}");
            ExitCode::from(2)
        }
    }
}

/// Serves until it is ended: SIGTERM ends a process with an id of 1 only if it says so, and the
/// kubelet's SIGKILL comes after the grace period, which the tests keep short.
fn serve(servers: &[&str]) -> io::Result<bool> {
    let mut threads = Vec::new();
    for server in servers {
        let wrong = || {
            io::Error::other(format!(
                "{server}: not tcp/PORT, udp/PORT, http/PORT or ask/PORT"
            ))
        };
        let (kind, port) = server.split_once('/').ok_or_else(wrong)?;
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.parse().map_err(|_| wrong())?));
        threads.push(match kind {
            "tcp" => accept(TcpListener::bind(address)?, |mut stream| {
                // Read first: what is unread at the end turns the end into a reset.
                BufReader::new(&stream).read_line(&mut String::new())?;
                stream.write_all(format!("{}\n", own_name()).as_bytes())
            }),
            // For the kubelet's probes.
            "http" => accept(TcpListener::bind(address)?, |mut stream| {
                BufReader::new(&stream).read_line(&mut String::new())?;
                stream.write_all(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n")
            }),
            "ask" => accept(TcpListener::bind(address)?, |mut stream| {
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line)?;
                let targets: Vec<&str> = line.split_whitespace().collect();
                stream.write_all((ask(&targets).join("\n") + "\n").as_bytes())
            }),
            "udp" => datagrams(UdpSocket::bind(address)?),
            _ => return Err(wrong()),
        });
    }
    for thread in threads {
        let _ = thread.join();
    }
    Ok(true)
}

fn accept(
    listener: TcpListener,
    answer: fn(TcpStream) -> io::Result<()>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that has gone away is its own affair.
            thread::spawn(move || drop(answer(stream)));
        }
    })
}

fn datagrams(socket: UdpSocket) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{}\n", own_name()).as_bytes(), from);
        }
    })
}

/// The pod's name: the kubelet makes it the host name.
fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Makes all connections at once; a line for each, in order.
fn ask(targets: &[&str]) -> Vec<String> {
    let owned = targets.iter().map(|target| (*target).to_owned());
    let threads: Vec<_> = owned
        .map(|target| {
            thread::spawn(move || match Target::from_str(&target) {
                Ok(parsed) => format!("{target} {}", parsed.attempt()),
                Err(()) => format!("{target} is not tcp/ADDRESS:PORT or udp/ADDRESS:PORT"),
            })
        })
        .collect();
    let lines = threads
        .into_iter()
        .map(|thread| thread.join().unwrap_or_default());
    lines.collect()
}

/// `tcp/10.0.0.1:80`
struct Target {
    datagram: bool,
    address: SocketAddr,
}

impl FromStr for Target {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (protocol, address) = text.split_once('/').ok_or(())?;
        let datagram = match protocol {
            "tcp" => false,
            "udp" => true,
            _ => return Err(()),
        };
        let address = address.parse().map_err(|_| ())?;
        Ok(Self { datagram, address })
    }
}

enum Answer {
    Connected(String),
    Failed(io::Error),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(name) => write!(f, "connected {name}"),
            Self::Failed(error) => write!(f, "failed {:?}", error.kind()),
        }
    }
}

impl Target {
    fn attempt(&self) -> Answer {
        let mut last = io::Error::other("not tried");
        for _ in 0..TRIES {
            let answer = if self.datagram {
                self.datagram()
            } else {
                self.stream()
            };
            match answer {
                Ok(name) => return Answer::Connected(name.trim().to_owned()),
                Err(error) => last = error,
            }
        }
        Answer::Failed(last)
    }

    fn stream(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(HELLO)?;
        let mut name = String::new();
        BufReader::new(&stream).read_line(&mut name)?;
        Ok(name)
    }

    fn datagram(&self) -> io::Result<String> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // Connected, so that ICMP errors come back as errors.
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(HELLO)?;
        let mut buffer = [0; 512];
        let read = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
    }
}
