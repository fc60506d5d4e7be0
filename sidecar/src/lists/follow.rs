//! One stream after the other, and what comes of each: lists in force, names for the log, readiness.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use sidewall::lists::kept::Kept;
use sidewall::lists::lines::Lines;
use sidewall::lists::stream::{Receiver, Step, StreamError};
use sidewall_watch::backoff::{Backoff, HEALED_AFTER, LONGEST};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::cache::{self, Cache, Current, Number};
use super::problem::End;
use super::{Patience, request};
use crate::device::sys::give_back_free_memory;
use crate::watch::mode::ModeChoice;
use crate::watch::problem::own_pod_missing;
use crate::watch::{LISTS, Outlets};

/// Follows the pod's list.
pub(super) struct Follower {
    client: Client,
    outlets: Outlets,
    patience: Patience,
    receiver: Receiver,
    /// Where lists go to be kept.
    current: watch::Sender<Option<Current>>,
    /// What is kept.
    cache: Option<Arc<Cache>>,
    /// The number and the digest of the list in force.
    number: Number,
    digest: Option<String>,
    /// Told when who the own pod is may have changed.
    own_changed: Option<Arc<Notify>>,
    /// What is wrong with the stream.
    lost: Option<String>,
    /// The controller has no list for the pod.
    unknown: bool,
    told_mode: Option<String>,
}

/// What came with one piece of a stream.
#[derive(Default)]
struct News {
    /// A batch is complete.
    complete: bool,
    /// It makes another state.
    changed: bool,
    /// When the oldest change of it was read.
    event_at: Option<Instant>,
}

impl From<StreamError> for End {
    fn from(error: StreamError) -> Self {
        Self::Unusable(error)
    }
}

impl Follower {
    pub(super) fn new(
        client: Client,
        outlets: Outlets,
        patience: Patience,
        current: watch::Sender<Option<Current>>,
    ) -> Self {
        Self {
            client,
            receiver: Receiver::new(outlets.pod.clone()),
            outlets,
            patience,
            current,
            cache: None,
            number: Number::default(),
            digest: None,
            own_changed: None,
            lost: None,
            unknown: false,
            told_mode: None,
        }
    }

    pub(super) fn tell_own(&mut self, changed: Arc<Notify>) {
        self.own_changed = Some(changed);
    }

    /// What is kept here is taken back before another list is in force.
    pub(super) fn keep_in(&mut self, cache: Arc<Cache>) {
        self.cache = Some(cache);
    }

    /// Puts a list in force that was kept from before the restart.
    pub(super) fn restore(&mut self, kept: Kept) {
        let age = cache::age(kept.at);
        self.receiver = Receiver::resumed(self.outlets.pod.clone(), kept.held, kept.version);
        tracing::info!(
            age_seconds = age.as_secs(),
            "the list from before the restart is in force until the controller is heard of"
        );
        self.outlets.status.kept(age);
        self.lost = Some("the controller was not heard of since the restart".to_owned());
        self.digest = Some(self.receiver.digest().to_owned());
        self.take_over(None);
    }

    /// Runs for ever.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::by(self.patience.chance);
        loop {
            self.receiver.begin();
            let goes_on = self.receiver.version().is_some();
            let began = Instant::now();
            let mut completed = false;
            let end = self.stream(&mut completed).await;
            self.lose(&end);
            if completed && began.elapsed() >= HEALED_AFTER {
                backoff.reset();
            }
            if end.expired() {
                self.receiver.start_over();
                if goes_on && !completed {
                    // The wait was before this question; the other one is asked at once.
                    continue;
                }
            }
            sleep(self.wait(&mut backoff, &end)).await;
        }
    }

    /// Who has a list in force can wait, so that a controller which comes back is not run over.
    fn wait(&self, backoff: &mut Backoff, end: &End) -> Duration {
        let wait = match self.outlets.published.in_force() {
            Some(_) => backoff.spread(),
            None => backoff.wait(),
        };
        let asked = end.retry_after().map(|after| {
            let spread = 1.0 + 0.5 * (self.patience.chance)();
            after.min(LONGEST).mul_f64(spread)
        });
        wait.max(asked.unwrap_or_default())
    }

    /// One stream, from its question to its end.
    async fn stream(&mut self, completed: &mut bool) -> End {
        let path = request::list(&self.outlets.pod, self.receiver.version());
        let mut pieces = match request::ask(&self.client, &path, self.patience.answer).await {
            Ok(pieces) => pieces,
            Err(end) => return end,
        };
        let (mut lines, mut batch_began) = (Lines::default(), None);
        let mut patience_ends = Instant::now() + self.patience.bookmark;
        loop {
            let piece = match timeout_at(patience_ends, pieces.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(end))) => return end,
                Ok(None) => return End::Cut,
                Err(_) => return End::Stalled(self.patience.bookmark),
            };
            self.outlets.metrics.list_bytes(piece.len());
            let mut news = News::default();
            let read = lines.feed(&piece, |line| self.line(line, &mut batch_began, &mut news));
            // What is complete counts, also if the next line is of no use.
            if news.complete {
                let first = !std::mem::replace(completed, true);
                patience_ends = Instant::now() + self.patience.bookmark;
                self.complete(&news);
                if first && news.changed {
                    give_back_free_memory();
                }
            }
            if let Err(end) = read {
                return end;
            }
        }
    }

    fn line(
        &mut self,
        line: &[u8],
        batch_began: &mut Option<Instant>,
        news: &mut News,
    ) -> Result<(), End> {
        match self.receiver.line(line)? {
            Step::Gathering => {
                batch_began.get_or_insert_with(Instant::now);
            }
            Step::Complete { changed } => {
                news.complete = true;
                news.changed |= changed;
                let began = batch_began.take();
                news.event_at = news.event_at.or(began);
            }
            Step::Ended(said) => return Err(End::Ended(said)),
        }
        Ok(())
    }

    fn complete(&mut self, news: &News) {
        self.lost = None;
        self.outlets.metrics.watch_current(LISTS);
        if let Some(away) = self.outlets.status.found() {
            tracing::info!(
                "the list is current again, after {:.1} s",
                away.as_secs_f64()
            );
        }
        if !news.changed {
            return self.tell_problem();
        }
        // A first list is no event.
        let first = self.outlets.published.in_force().is_none();
        let there = self.receiver.held().list.is_some();
        if there && self.digest.as_deref() != Some(self.receiver.digest()) {
            self.void();
        }
        self.take_over(news.event_at.filter(|_| !first));
        if there && !self.current.is_closed() {
            self.current.send_replace(Some(Current {
                number: self.number,
                version: self.receiver.version().map(str::to_owned),
                held: Arc::new(self.receiver.held().clone()),
            }));
        }
    }

    /// Another list comes in force now: the one that is kept must not come back.
    fn void(&mut self) {
        self.digest = Some(self.receiver.digest().to_owned());
        let Some(cache) = &self.cache else {
            return;
        };
        let (number, voided) = cache.void();
        self.number = number;
        if let Err(error) = voided {
            self.outlets.metrics.list_kept(false);
            tracing::warn!("the list that was kept cannot be taken back: {error}");
        }
    }

    /// Puts what is held in force.
    fn take_over(&mut self, event_at: Option<Instant>) {
        let (outlets, held) = (&self.outlets, self.receiver.held());
        outlets.metrics.list_slices(held.slices.len());
        let began = Instant::now();
        let (Some(list), Some(made)) = (&held.list, held.assemble(&outlets.gateways)) else {
            self.unknown = true;
            return self.tell_problem();
        };
        self.unknown = false;
        outlets.directory.list(held);
        let modes = ModeChoice {
            pod: list.modes.pod.clone(),
            namespace: list.modes.namespace.clone(),
            flag: outlets.mode,
        };
        let (mode, wrong) = modes.mode();
        if self.told_mode != wrong {
            if let Some(wrong) = &wrong {
                tracing::warn!("{wrong}");
            }
            self.told_mode = wrong;
        }
        let assembled = began.elapsed();
        let indexed = outlets.published.publish(made, mode);
        outlets.status.set_synced();
        if let Some(indexed) = indexed {
            outlets.tell_published(assembled + indexed, event_at);
        }
        if let Some(own) = &self.own_changed {
            own.notify_one();
        }
        self.tell_problem();
    }

    fn lose(&mut self, end: &End) {
        let text = end.told(&self.outlets.pod).to_string();
        if let Some(resync) = end.resync() {
            self.outlets.metrics.list_resync(resync);
        }
        self.outlets.metrics.watch_lost(LISTS);
        let first = self.outlets.status.lost();
        match end {
            end if end.is_routine() => tracing::debug!("{text}"),
            // One line when contact is lost, and a reminder each minute.
            End::Unreachable(_) | End::Stalled(_) | End::Cut if !first => {
                tracing::debug!("{text}");
            }
            _ if self.lost.as_ref() != Some(&text) => tracing::warn!("{text}"),
            _ => tracing::debug!("{text}"),
        }
        self.lost = Some(text);
        self.tell_problem();
    }

    fn tell_problem(&self) {
        let unknown = || self.unknown.then(|| self.told_unknown());
        let problem = self.lost.clone().or_else(unknown);
        self.outlets.status.set_problem(problem);
    }

    fn told_unknown(&self) -> String {
        let pod = &self.outlets.pod;
        if self.outlets.published.in_force().is_none() {
            return own_pod_missing(pod);
        }
        format!("the controller has no list for pod {pod} any more: the last one stays in force")
    }
}
