//! `sidewall-sidecar probe`: tries connections from where it runs and tells what came of each, one
//! letter a connection. `sidewall test` runs it in an ephemeral container beside a pod's own.
//!
//! It is no sidecar: it needs no privilege, steers nothing and judges nothing.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Connections tried at once: a thread each.
const AT_ONCE: usize = 32;
/// What is said in a datagram. A line, so that line-based servers answer it.
const HELLO: &[u8] = b"hello\n";
/// What is said to port 53 instead: a question for the root's name servers (RFC 1035 §4.1), because a
/// DNS server answers nothing but questions.
const QUESTION: &[u8] = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";
const DNS_PORT: u16 = 53;

/// What `sidewall-sidecar probe` takes.
#[derive(Debug, clap::Parser)]
#[command(
    name = "sidewall-sidecar probe",
    about = "Tries connections; prints a letter for each: c connected, r refused, t timed out, u unreachable, \
             n no such name"
)]
pub struct Args {
    /// tcp/10.0.0.1:80, udp/[fd00::1]:53, tcp/example.org:443.
    #[arg(required = true)]
    targets: Vec<Target>,
    /// How long an answer may take, in milliseconds.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    timeout_ms: u64,
    /// How often a silent target is tried.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// A file for the letters too, such as /dev/termination-log.
    #[arg(long)]
    answer_file: Option<PathBuf>,
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    protocol: Protocol,
    /// `host:port`.
    address: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no target: tcp/HOST:PORT or udp/HOST:PORT");
        let (protocol, address) = text.split_once('/').ok_or_else(wrong)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(wrong()),
        };
        let port = address
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return Err(wrong());
        }
        Ok(Self {
            protocol,
            address: address.to_owned(),
        })
    }
}

/// Tries everything and tells.
///
/// # Errors
/// When the answer cannot be written.
pub fn run(args: &Args) -> std::io::Result<()> {
    let letters = letters(args);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{letters}")?;
    match &args.answer_file {
        Some(file) => std::fs::write(file, letters),
        None => Ok(()),
    }
}

/// A letter per target, in their order.
fn letters(args: &Args) -> String {
    let timeout = Duration::from_millis(args.timeout_ms);
    let mut letters = String::new();
    for some in args.targets.chunks(AT_ONCE) {
        let answers: Vec<char> = std::thread::scope(|scope| {
            let threads: Vec<_> = some
                .iter()
                .map(|target| scope.spawn(move || target.attempt(timeout, args.attempts)))
                .collect();
            // A thread that panics has told nothing, as one that nobody answered.
            let join =
                |thread: std::thread::ScopedJoinHandle<'_, char>| thread.join().unwrap_or('t');
            threads.into_iter().map(join).collect()
        });
        letters.extend(answers);
    }
    letters
}

impl Target {
    fn attempt(&self, timeout: Duration, attempts: u32) -> char {
        let Some(address) = self
            .address
            .to_socket_addrs()
            .ok()
            .and_then(|mut all| all.next())
        else {
            return 'n';
        };
        let mut answer = 't';
        for _ in 0..attempts {
            answer = match self.protocol {
                Protocol::Tcp => letter(TcpStream::connect_timeout(&address, timeout).map(drop)),
                Protocol::Udp => letter(datagram(address, timeout)),
            };
            if answer != 't' {
                break;
            }
        }
        answer
    }
}

fn datagram(address: SocketAddr, timeout: Duration) -> std::io::Result<()> {
    let any = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    // Connected, so that ICMP errors come back as errors.
    socket.connect(address)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.send(if address.port() == DNS_PORT {
        QUESTION
    } else {
        HELLO
    })?;
    socket.recv(&mut [0; 1]).map(drop)
}

fn letter(answer: std::io::Result<()>) -> char {
    match answer.map_err(|error| error.kind()) {
        Ok(()) => 'c',
        Err(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => 'r',
        // A read that runs out of time says WouldBlock on Linux.
        Err(ErrorKind::TimedOut | ErrorKind::WouldBlock) => 't',
        Err(_) => 'u',
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use clap::Parser as _;

    use super::{Args, Target, letters};

    #[test]
    fn every_answer_has_its_letter_in_the_order_of_the_targets() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed_port = closed.local_addr().unwrap().port();
        drop(closed);
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
        let echo_address = echo.local_addr().unwrap();
        let echoing = std::thread::spawn(move || {
            let mut buffer = [0; 16];
            let (read, from) = echo.recv_from(&mut buffer).unwrap();
            echo.send_to(&buffer[..read], from).unwrap();
        });
        let args = Args::parse_from([
            "probe",
            "--timeout-ms=200",
            &format!("tcp/{}", open.local_addr().unwrap()),
            &format!("tcp/127.0.0.1:{closed_port}"),
            &format!("udp/127.0.0.1:{closed_port}"),
            &format!("udp/{}", silent.local_addr().unwrap()),
            &format!("udp/{echo_address}"),
            "tcp/no-such-host.invalid:80",
        ]);
        assert_eq!(letters(&args), "crrtcn");
        echoing.join().unwrap();
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "10.0.0.1:80",
            "sctp/10.0.0.1:80",
            "tcp/10.0.0.1",
            "tcp/a:0",
            "tcp/a:x",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert!("udp/[fd00::1]:53".parse::<Target>().is_ok());
    }
}
