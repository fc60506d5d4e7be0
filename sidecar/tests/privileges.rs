//! After the drop: what the sidecar still needs works, and everything else is death.
//!
//! Each attempt runs in a process of its own: this test binary again, with one ignored test.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use sidewall_sidecar::{privileges, takeover};

/// Which attempt the process of its own makes.
const ATTEMPT: &str = "SIDEWALL_TEST_ATTEMPT";

#[test]
fn a_forbidden_call_kills_the_process() {
    for attempt in [
        "write-a-file",
        "run-a-program",
        "packet-socket",
        "namespace",
        "kill",
        "look-into-a-map",
        "load-a-program",
    ] {
        let status = attempted(attempt);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{attempt}: {status:?}");
    }
}

#[test]
fn what_the_sidecar_does_all_day_still_works() {
    let status = attempted("daily-work");
    assert!(status.success(), "{status:?}");
}

#[test]
fn capabilities_are_not_dropped_in_one_thread_of_many() {
    let other = std::thread::spawn(std::thread::park);
    let error = privileges::drop_all(privileges::Maps::None).unwrap_err();
    assert!(
        matches!(error, privileges::PrivilegeError::ManyThreads(2..)),
        "{error}"
    );
    other.thread().unpark();
    other.join().unwrap();
}

#[test]
#[ignore = "runs in a process of its own, for the tests above"]
fn attempt() {
    let Ok(attempt) = std::env::var(ATTEMPT) else {
        return;
    };
    let file = std::env::temp_dir().join(format!("sw-{}", std::process::id()));
    let maps = match attempt.as_str() {
        "load-a-program" | "daily-work" => privileges::Maps::Used,
        _ => privileges::Maps::None,
    };
    // Opened before, as the list that is kept is.
    let kept = (attempt == "daily-work").then(|| tempfile::tempfile().unwrap());
    privileges::seccomp::install(maps).unwrap();
    match attempt.as_str() {
        "write-a-file" => drop(std::fs::write(file, "x")),
        "run-a-program" => drop(Command::new("/bin/true").status()),
        "packet-socket" => drop(socket2::Socket::new(
            libc::AF_PACKET.into(),
            socket2::Type::RAW,
            None,
        )),
        "namespace" => drop(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)),
        "kill" => drop(nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), None)),
        // BPF_MAP_LOOKUP_ELEM and BPF_PROG_LOAD, with nothing to look up or to load.
        "look-into-a-map" => drop(bpf(1)),
        "load-a-program" => drop(bpf(5)),
        "daily-work" => {
            assert!(bpf(1).is_err(), "allowed, and there is no map");
            keep(&kept.unwrap());
            daily_work();
        }
        other => panic!("unknown attempt {other}"),
    }
}

/// What the list that is kept is written with.
fn keep(file: &std::fs::File) {
    file.write_all_at(b"list", 0).unwrap();
    file.set_len(4).unwrap();
    file.sync_data().unwrap();
    let mut read = [0; 4];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"list");
}

fn bpf(command: i32) -> std::io::Result<()> {
    // SAFETY: a null request of length zero; the kernel touches no memory.
    match unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::null::<u8>(), 0) } {
        ..0 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Files, names, sockets, threads, a runtime with timers and signals.
fn daily_work() {
    assert!(!std::fs::read_to_string("/etc/hosts").unwrap().is_empty());
    assert!(std::fs::read_dir("/etc").unwrap().count() > 0);
    assert!(std::fs::metadata("/etc/hosts").unwrap().is_file());
    assert!(("localhost", 80).to_socket_addrs().unwrap().count() > 0);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0; 1]).unwrap();
    assert!(takeover::connections(&[]).unwrap().is_empty());

    let memory = std::thread::spawn(|| vec![1_u8; 64 << 20].len());
    assert_eq!(memory.join().unwrap(), 64 << 20);

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut stream = tokio::net::lookup_host("localhost:80").await.unwrap();
        assert!(stream.next().is_some());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let mut term =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let none = tokio::time::timeout(std::time::Duration::from_millis(5), term.recv()).await;
        assert!(none.is_err());
        let read = tokio::task::spawn_blocking(|| std::fs::read("/proc/self/status"))
            .await
            .unwrap();
        let status = String::from_utf8(read.unwrap()).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert!(status.contains("Seccomp:\t2"), "{status}");
        tokio::fs::read("/etc/hosts").await.unwrap();
    });
}

fn attempted(attempt: &str) -> ExitStatus {
    let own = std::env::current_exe().unwrap();
    let output = Command::new(own)
        .args(["--exact", "attempt", "--ignored"])
        .env(ATTEMPT, attempt)
        .output()
        .unwrap();
    if !output.status.success() && output.status.signal().is_none() {
        eprintln!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    output.status
}
