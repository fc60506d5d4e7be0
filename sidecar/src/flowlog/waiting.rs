//! Lines that wait for who their peer is: not for long, not many, and no other line behind them.

use std::net::IpAddr;
use std::sync::Arc;

use sidewall::flow::Millis;
use sidewall::policy::allow_list::AllowList;
use sidewall::record::FlowRecord;
use tokio::time::{Instant, sleep_until};

use super::FlowLog;
use crate::lists::who::{self, Known};

/// Lines that wait for who their peer is at most; more are written without. At the bound on
/// questions, and with retries told as counts, some few wait at once.
const MOST_WAITING: usize = 256;

/// A line that is complete but for who the peer is.
pub(super) struct Waiting {
    record: FlowRecord,
    repeats: Option<u64>,
    now: Millis,
    /// Remembered here: generations are forgotten fast under churn.
    list: Option<Arc<AllowList>>,
    /// About whom.
    asked: Vec<IpAddr>,
    until: Instant,
}

impl FlowLog {
    /// Whether there is room for one more.
    pub(super) fn may_wait(&self) -> bool {
        self.waiting.len() < MOST_WAITING
    }

    /// Sets a line aside.
    pub(super) fn wait(
        &mut self,
        record: FlowRecord,
        repeats: Option<u64>,
        now: Millis,
        list: Option<Arc<AllowList>>,
        asked: Vec<IpAddr>,
    ) {
        self.waiting.push_back(Waiting {
            record,
            repeats,
            now,
            list,
            asked,
            until: Instant::now() + who::PATIENCE,
        });
    }

    /// Until there is something to do for lines that wait: an answer came, or the oldest has waited
    /// long enough.
    pub(super) async fn answered(&self) {
        match (&self.sources.who, self.waiting.front()) {
            (Some(who), Some(oldest)) => tokio::select! {
                () = who.answered.notified() => {}
                () = sleep_until(oldest.until) => {}
            },
            _ => std::future::pending().await,
        }
    }

    /// Writes the lines whose answers have come, or that have waited long enough; or all.
    pub(super) fn release(&mut self, all: bool) {
        let now = Instant::now();
        for _ in 0..self.waiting.len() {
            let Some(line) = self.waiting.pop_front() else {
                return;
            };
            let in_time = !all && now < line.until;
            if in_time && self.is_asked(&line.asked) {
                self.waiting.push_back(line);
                continue;
            }
            let mut explained = self.explain(&line.record, line.list.as_deref(), line.now);
            if !explained.asked.is_empty() && explained.why.is_none() {
                let late = format!("no answer within {} ms", who::PATIENCE.as_millis());
                explained.unknown.get_or_insert_with(|| late.into());
            }
            self.write(line.record, explained, line.repeats, line.now, line.list);
        }
    }

    /// Whether one of these is still being asked about.
    fn is_asked(&self, addresses: &[IpAddr]) -> bool {
        let who = self.sources.who.as_deref();
        let under_way =
            |address: &IpAddr| who?.look(*address).filter(|known| *known == Known::Asked);
        addresses.iter().any(|address| under_way(address).is_some())
    }
}
