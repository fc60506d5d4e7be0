//! A pod, a node and what lies behind it, as network namespaces of this test alone.
//!
//! A namespace belongs to a thread ([`Net`]) and goes when the thread does: nothing is left behind,
//! also after a crash. Sockets made in it can be used anywhere. Next: [`pod`] has a pod with the
//! data path in it, and policies made by hand; [`carried`] has flows that the kernel carries.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

pub mod carried;
pub mod controller;
pub mod pod;

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread::JoinHandle;

use futures::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder};

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own.
pub struct Net {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Net {
    /// A namespace with loopback up and nothing else.
    pub fn new(name: &str) -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let body = move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            queue.into_iter().for_each(|job| job());
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .unwrap();
        let net = Self {
            jobs: Some(jobs),
            thread: Some(thread),
        };
        // Off before any interface is there: an address is usable at once.
        net.run(|| {
            for setting in [
                "all/accept_dad",
                "default/accept_dad",
                "default/dad_transmits",
            ] {
                write(&format!("/proc/sys/net/ipv6/conf/{setting}"), "0");
            }
        });
        net.netlink(async |netlink| up(&netlink, "lo").await);
        net
    }

    /// Runs something in the namespace and waits for it.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, result) = mpsc::sync_channel(1);
        let job = Box::new(move || drop(answer.send(work())));
        self.jobs.as_ref().unwrap().send(job).unwrap();
        result.recv().expect("the work did not panic")
    }

    /// Runs something that talks to rtnetlink in the namespace.
    pub fn netlink<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(Handle) -> T + Send + 'static,
    ) -> T {
        self.run(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let (connection, netlink, _) = rtnetlink::new_connection().unwrap();
                tokio::spawn(connection);
                work(netlink).await
            })
        })
    }

    /// Connects two namespaces: `here` is this one's interface, `there` the other's.
    pub fn connect(&self, here: &'static str, other: &Self, there: &'static str) {
        let target = other.run(|| File::open("/proc/thread-self/ns/net").unwrap());
        self.netlink(async move |netlink| {
            netlink
                .link()
                .add(LinkVeth::new(here, "moving").build())
                .execute()
                .await
                .unwrap();
            let moving = index(&netlink, "moving").await;
            let moved = LinkUnspec::new_with_index(moving).setns_by_fd(target.as_raw_fd());
            netlink
                .link()
                .change(moved.name(there).build())
                .execute()
                .await
                .unwrap();
            up(&netlink, here).await;
        });
        other.netlink(async move |netlink| up(&netlink, there).await);
    }

    /// Gives an interface addresses.
    pub fn addresses(&self, interface: &'static str, addresses: &[&str]) {
        let addresses: Vec<IpNet> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.netlink(async move |netlink| {
            let index = index(&netlink, interface).await;
            for net in addresses {
                netlink
                    .address()
                    .add(index, net.addr(), net.prefix_len())
                    .execute()
                    .await
                    .unwrap();
            }
        });
    }

    /// Sends everything else by a gateway.
    pub fn default_route(&self, gateway: &str) {
        let gateway: IpAddr = gateway.parse().unwrap();
        self.netlink(async move |netlink| {
            let route = match gateway {
                IpAddr::V4(gateway) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                    .gateway(gateway)
                    .build(),
                IpAddr::V6(gateway) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                    .gateway(gateway)
                    .build(),
            };
            netlink.route().add(route).execute().await.unwrap();
        });
    }

    /// Makes the namespace a router.
    pub fn forward(&self) {
        self.run(|| {
            write("/proc/sys/net/ipv4/ip_forward", "1");
            write("/proc/sys/net/ipv6/conf/all/forwarding", "1");
        });
    }

    /// Sets an interface's MTU.
    pub fn mtu(&self, interface: &'static str, mtu: u32) {
        self.netlink(async move |netlink| {
            let index = index(&netlink, interface).await;
            let change = LinkUnspec::new_with_index(index).mtu(mtu).build();
            netlink.link().change(change).execute().await.unwrap();
        });
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A panic in the thread was a panic of the test already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Whether this test can have namespaces and TUN devices. At home it says loudly that it cannot; in
/// CI that is a failure.
pub fn privileged() -> bool {
    let probe = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok()
            && File::options()
                .read(true)
                .write(true)
                .open("/dev/net/tun")
                .is_ok()
    });
    let able = probe.join().unwrap_or(false);
    if !able {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "this test needs root and /dev/net/tun, and CI must have both"
        );
        eprintln!("!!! SKIPPED: this test needs root and /dev/net/tun (sudo -E cargo test) !!!");
    }
    able
}

async fn up(netlink: &Handle, name: &str) {
    let index = index(netlink, name).await;
    netlink
        .link()
        .change(LinkUnspec::new_with_index(index).up().build())
        .execute()
        .await
        .unwrap();
}

async fn index(netlink: &Handle, name: &str) -> u32 {
    let mut found = netlink.link().get().match_name(name.to_owned()).execute();
    found.try_next().await.unwrap().unwrap().header.index
}

fn write(path: &str, value: &str) {
    std::fs::write(path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}
