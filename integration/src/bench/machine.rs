//! The machine: its facts, how busy it is, what a process takes, and the settings of a namespace that
//! shall carry many connections.

use anyhow::{Context as _, Result};
use procfs::{Current as _, CurrentSI as _};
use serde::{Deserialize, Serialize};

/// The facts a figure means little without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub model: String,
    /// How many of them.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory in GB.
    pub memory: u64,
    /// TCP's congestion control, which paces a stream or not.
    pub congestion_control: String,
    /// When it was asked: a day.
    pub day: String,
}

impl Machine {
    /// This one, now.
    ///
    /// # Errors
    /// Without /proc.
    pub fn here() -> Result<Self> {
        let cpu = procfs::CpuInfo::current()?;
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let control = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
        Ok(Self {
            model: cpu.model_name(0).unwrap_or("unknown CPU").to_owned(),
            cores: cpu.num_cores(),
            kernel: release.trim().to_owned(),
            memory: procfs::Meminfo::current()?.mem_total.div_ceil(1 << 30),
            congestion_control: control.trim().to_owned(),
            day: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            model,
            cores,
            kernel,
            memory,
            congestion_control,
            day,
        } = self;
        write!(
            f,
            "{model}, {cores} cores, {memory} GB, Linux {kernel}, TCP {congestion_control}, {day}"
        )
    }
}

/// Seconds that all processors together have worked since the machine started.
///
/// # Errors
/// Without /proc.
pub fn busy_seconds() -> Result<f64> {
    let total = procfs::KernelStats::current()?.total;
    // Time in guests is part of user time already; what the hypervisor took is nobody's work.
    let ticks = total.user
        + total.nice
        + total.system
        + total.irq.unwrap_or_default()
        + total.softirq.unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "ticks of a machine's life")]
    Ok(ticks as f64 / procfs::ticks_per_second() as f64)
}

/// A process's resident memory in MB (10⁶ bytes).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resident {
    /// All of it, with the pages of its program file.
    pub all: f64,
    /// What it has allocated.
    pub anonymous: f64,
}

/// What a process takes now.
///
/// # Errors
/// When it is gone.
pub fn resident(pid: u32) -> Result<Resident> {
    let status = procfs::process::Process::new(i32::try_from(pid)?)?.status()?;
    #[expect(clippy::cast_precision_loss, reason = "kilobytes of one process")]
    let mb = |kib: Option<u64>| kib.map(|kib| kib as f64 * 1024.0 / 1e6);
    Ok(Resident {
        all: mb(status.vmrss).context("no VmRSS")?,
        anonymous: mb(status.rssanon).context("no RssAnon")?,
    })
}

/// Settings of the calling thread's network namespace, so that thousands of connections a second wear
/// nothing out: the client may take a port again a second after its connection ended, and the kernel's
/// connection tracking (the node's, too) forgets ended connections sooner than after its two minutes.
///
/// # Errors
/// When a setting cannot be written.
pub fn prepare_for_many_connections() -> Result<()> {
    for (name, value) in [
        ("ipv4/tcp_tw_reuse", "1"),
        ("netfilter/nf_conntrack_tcp_timeout_time_wait", "2"),
        ("netfilter/nf_conntrack_tcp_timeout_close", "1"),
    ] {
        let path = std::path::Path::new("/proc/sys/net").join(name);
        if path.exists() {
            std::fs::write(&path, value)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}
