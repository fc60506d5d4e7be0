//! The flow log: one line per verdict on a new flow and per end of a flow, on stdout.
//!
//! Records come from the data path through a bounded queue; here they get names (`entry`), retries
//! become counts (`repeats`), the lines of a second are bounded (`rate`), and the rest is spelled
//! (`hubble` for machines, `human` for people). Nothing here can hold up a packet: when this side
//! is slow the queue overflows, and the loss is counted and told.
//!
//! The program's own messages are not here; they go to stderr through `tracing`.

mod entry;
mod hubble;
mod human;
mod identities;
mod rate;
mod repeats;
mod waiting;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sidewall::flow::Millis;
use sidewall::lists::wire::PeerMember;
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::record::FlowRecord;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use self::entry::Names;
use self::identities::Explained;
use self::rate::Rate;
use self::repeats::Repeats;
use self::waiting::Waiting;
use crate::directory::Directory;
use crate::lists::who::Who;
use crate::metrics::Metrics;
use crate::publish::{InForce, Published};
use crate::shared::Shared;

/// Counts and suppressed lines are looked for this often.
const TICK: Duration = Duration::from_secs(1);

/// Between two looks at the queue. While it lasts, a record costs its thread no wake-up of another:
/// with a thousand new flows a second that is what a flow would cost most. In this time the queue
/// fills by a twenty-fifth at 16 000 flows a second.
const PAUSE: Duration = Duration::from_millis(10);

/// Rules that are read in a second to explain blocks. A port scan makes a block a line, and a pod may
/// have thousands of rules: beyond this (a few hundredths of a core) lines name the verdict alone.
const RULES_READ: u32 = 100_000;

/// Text is handed to stdout in pieces of about this size: a pipe's buffer (pipe(7)).
const PIECE: usize = 64 * 1024;

/// How a line is spelled.
#[derive(Debug, Clone)]
pub enum Format {
    /// Hubble's JSON.
    Json,
    /// For people.
    Human {
        /// Of the times.
        zone: jiff::tz::TimeZone,
        /// Whether the reader shows colour.
        colour: bool,
    },
    /// Not at all; records are still counted.
    Silent,
}

/// What the log needs to know.
pub struct Sources {
    /// Records, clock, losses.
    pub shared: Arc<Shared>,
    /// The allow lists that decided lately.
    pub published: Arc<Published>,
    /// Names of addresses.
    pub directory: Arc<Directory>,
    /// Who is asked about addresses that the directory does not have in full.
    pub who: Option<Arc<Who>>,
    /// Where flows and suppressed lines are counted.
    pub metrics: Arc<Metrics>,
    /// The own pod.
    pub pod: ObjectRef,
    /// The node, if it was given.
    pub node: Option<String>,
}

/// Runs until it is told to stop, and then writes what is left.
pub async fn run(
    sources: Sources,
    format: Format,
    rate: u32,
    mut out: impl AsyncWrite + Unpin,
    stop: CancellationToken,
) {
    let shared = Arc::clone(&sources.shared);
    let mut log = FlowLog::new(sources, format, rate);
    let mut tick = tokio::time::interval(TICK);
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            () = shared.records_ready.notified() => {}
            _ = tick.tick() => log.tick(shared.clock.now()),
            () = log.answered() => {}
            () = stop.cancelled() => stopping = true,
        }
        log.release(stopping);
        loop {
            let record = shared.records.pop();
            if let Some(record) = record {
                log.take(&record);
            } else if stopping {
                log.finish(shared.clock.now());
                log.release(true);
            }
            if record.is_none() || log.text.len() >= PIECE {
                log.write_to(&mut out).await;
            }
            if record.is_none() {
                break;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Records in, text out.
struct FlowLog {
    sources: Sources,
    /// Names the own pod until the directory knows it.
    own: Arc<PeerMember>,
    format: Format,
    repeats: Repeats,
    rate: Rate,
    /// Bounds the work of explaining.
    explaining: Rate,
    /// The allow list whose rules the repeats were blocked by.
    rules: Option<Arc<InForce>>,
    /// Lines whose peer is being asked about, the oldest first.
    waiting: VecDeque<Waiting>,
    lost_told: u64,
    text: String,
    /// stdout has gone away; that is told once, and is no reason to stop filtering.
    broken: bool,
}

impl FlowLog {
    fn new(sources: Sources, format: Format, rate: u32) -> Self {
        let own = Arc::new(PeerMember {
            id: sources.pod.clone(),
            addresses: Vec::new(),
            labels: Arc::default(),
            workload: None,
            node: sources.node.clone(),
        });
        Self {
            sources,
            own,
            format,
            repeats: Repeats::default(),
            rate: Rate::new(rate),
            explaining: Rate::new(RULES_READ),
            rules: None,
            waiting: VecDeque::new(),
            lost_told: 0,
            text: String::new(),
            broken: false,
        }
    }

    /// One record.
    fn take(&mut self, record: &FlowRecord) {
        self.sources.metrics.flow(record);
        self.notice_rules(record.at);
        if !matches!(self.format, Format::Silent) && self.repeats.tells(record) {
            self.line(*record, None, record.at);
        }
    }

    /// When the rules have changed, a block is another answer than before, and is told again. Peers
    /// that come and go change the allow list too, but not what it answers a flow that is blocked.
    fn notice_rules(&mut self, now: Millis) {
        let in_force = self.sources.published.in_force();
        let generation = |rules: &Option<Arc<InForce>>| rules.as_ref().map(|r| r.generation);
        if generation(&in_force) == generation(&self.rules) {
            return;
        }
        let before = std::mem::replace(&mut self.rules, in_force);
        let same = match (&before, &self.rules) {
            (Some(before), Some(after)) => {
                before.list.ingress == after.list.ingress && before.list.egress == after.list.egress
            }
            _ => false,
        };
        if !same {
            for count in self.repeats.start_anew(now) {
                self.line(count.last, Some(count.count), now);
            }
        }
    }

    /// What becomes due with time.
    fn tick(&mut self, now: Millis) {
        for count in self.repeats.due(now) {
            self.line(count.last, Some(count.count), now);
        }
        if let Some(suppressed) = self.rate.suppressed(now) {
            self.lost(suppressed, "suppressed", now);
        }
        self.tell_lost_records(now);
    }

    /// Everything that is not told yet.
    fn finish(&mut self, now: Millis) {
        for count in self.repeats.rest(now) {
            self.line(count.last, Some(count.count), now);
        }
        if let Some(suppressed) = self.rate.rest() {
            self.lost(suppressed, "suppressed", now);
        }
        self.tell_lost_records(now);
    }

    fn tell_lost_records(&mut self, now: Millis) {
        let lost = self.sources.shared.records_lost.load(Ordering::Relaxed);
        if lost > self.lost_told {
            self.lost(lost - self.lost_told, "records-lost", now);
            self.lost_told = lost;
        }
    }

    fn line(&mut self, record: FlowRecord, repeats: Option<u64>, now: Millis) {
        if !self.rate.allows(now) {
            self.sources.metrics.line_suppressed();
            return;
        }
        let list = self.sources.published.list(record.generation);
        let explained = self.explain(&record, list.as_deref(), now);
        if explained.asked.is_empty() || !self.may_wait() {
            self.write(record, explained, repeats, now, list);
        } else {
            self.wait(record, repeats, now, list, explained.asked);
        }
    }

    /// What policies say of a record, unless too much was spent on explaining in this second.
    fn explain(&mut self, record: &FlowRecord, list: Option<&AllowList>, now: Millis) -> Explained {
        let may_explain = list.is_some_and(|list| {
            let work = entry::work_of(record, list);
            work == 0 || self.explaining.allows_of(now, work)
        });
        if may_explain {
            self.names().explain(record, list)
        } else {
            Explained::default()
        }
    }

    fn names(&self) -> Names<'_> {
        Names {
            directory: &self.sources.directory,
            who: self.sources.who.as_deref(),
            options: self.sources.published.options(),
            own: &self.own,
        }
    }

    fn write(
        &mut self,
        record: FlowRecord,
        explained: Explained,
        repeats: Option<u64>,
        now: Millis,
        list: Option<Arc<AllowList>>,
    ) {
        let time = self.time(now);
        let mut entry = self.names().entry(record, explained, repeats, time, list);
        match &self.format {
            Format::Json => {
                let node = self.node(record.key.pod);
                self.text.push_str(&hubble::line(&mut entry, &node));
            }
            Format::Human { zone, colour } => {
                self.text.push_str(&human::line(&entry, zone, *colour));
            }
            Format::Silent => return,
        }
        self.text.push('\n');
    }

    fn lost(&mut self, lost: u64, kind: &str, now: Millis) {
        let at = self.time(now);
        let line = match &self.format {
            Format::Json => {
                let node = self.own.node.clone().unwrap_or_default();
                hubble::lost_line(lost, kind, at, &node)
            }
            Format::Human { zone, colour } => human::lost_line(lost, kind, at, zone, *colour),
            Format::Silent => return,
        };
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn time(&self, at: Millis) -> jiff::Timestamp {
        // A wall clock before the year -9999 or after 9999 has no line worth writing.
        jiff::Timestamp::try_from(self.sources.shared.clock.wall(at)).unwrap_or_default()
    }

    /// The node as given, or as the API names it.
    fn node(&mut self, pod: std::net::IpAddr) -> String {
        if self.own.node.is_none()
            && let Some(identity) = self.sources.directory.pod(pod)
            && identity.id == self.own.id
        {
            self.own = identity;
        }
        self.own.node.clone().unwrap_or_default()
    }

    async fn write_to(&mut self, out: &mut (impl AsyncWrite + Unpin)) {
        if self.text.is_empty() {
            return;
        }
        if !self.broken {
            let written = async {
                out.write_all(self.text.as_bytes()).await?;
                out.flush().await
            };
            if let Err(error) = written.await {
                self.broken = true;
                tracing::warn!(%error, "the flow log cannot be written any more; filtering goes on");
            }
        }
        self.text.clear();
    }
}
