//! The flow logs of a cluster's sidecars, read as container logs through the API server.
//!
//! Pods are listed and watched: new ones join, ended ones leave when their log has ended. A log
//! whose connection breaks is taken up where it was ([`super::position`]). The order is that of
//! each pod; who wants one order of all sorts by time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use sidewall_controller::inject::CONTAINER;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::position::Position;
use super::{Item, Lines, PodName, Sender, channel};

/// Logs read at once when all of them are asked for what they hold: what `kubectl logs` allows
/// itself (`--max-log-requests`) times three.
const AT_ONCE: usize = 15;
/// Wait before a broken log is asked for again; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long the log of a pod that is gone may go on.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The sidecars of a cluster.
pub(crate) struct Sidecars {
    client: Client,
    /// Only pods of these namespaces; none: all.
    namespaces: Vec<String>,
    positions: Arc<Mutex<HashMap<String, Position>>>,
}

/// What of the logs is wanted first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Past {
    /// Everything that is still there, or from a time on.
    Since(Option<Timestamp>),
    /// Nothing: only what comes.
    Nothing,
}

impl Sidecars {
    /// The sidecars of the pods in some namespaces, or of all pods if none is named.
    pub(crate) fn new(client: Client, namespaces: Vec<String>) -> Self {
        Self {
            client,
            namespaces,
            positions: Arc::default(),
        }
    }

    /// What the logs hold now; the channel closes behind it.
    ///
    /// # Errors
    /// When the pods cannot be listed.
    pub(crate) async fn past(&self, past: Past) -> anyhow::Result<Lines> {
        let mut pods = Vec::new();
        for api in self.apis() {
            let all = api.list(&ListParams::default()).await;
            let all = all.context("the API server does not list the pods")?;
            pods.extend(all.items.into_iter().filter(has_sidecar));
        }
        let (sender, lines) = channel();
        let (client, positions) = (self.client.clone(), Arc::clone(&self.positions));
        tokio::spawn(async move {
            let reads = pods.into_iter().map(|pod| {
                let log = Log::new(&client, &pod, sender.clone());
                let positions = Arc::clone(&positions);
                async move {
                    let (uid, position) = log.past(past).await;
                    lock(&positions).insert(uid, position);
                }
            });
            futures::stream::iter(reads)
                .buffer_unordered(AT_ONCE)
                .collect::<()>()
                .await;
        });
        Ok(lines)
    }

    /// Every line from where [`Self::past`] stopped, of old pods and new ones, until the reader goes.
    pub(crate) fn follow(self) -> Lines {
        let (sender, lines) = channel();
        for api in self.apis() {
            let following = Following {
                client: self.client.clone(),
                sender: sender.clone(),
                positions: Arc::clone(&self.positions),
                logs: HashMap::new(),
                tasks: JoinSet::new(),
            };
            tokio::spawn(following.run(api));
        }
        lines
    }

    fn apis(&self) -> Vec<Api<Pod>> {
        if self.namespaces.is_empty() {
            return vec![Api::all(self.client.clone())];
        }
        let of = |namespace: &String| Api::namespaced(self.client.clone(), namespace);
        self.namespaces.iter().map(of).collect()
    }
}

fn lock(
    positions: &Mutex<HashMap<String, Position>>,
) -> std::sync::MutexGuard<'_, HashMap<String, Position>> {
    positions.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the injector gave it a sidecar; also where only its status says so, as in the lab.
fn has_sidecar(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    });
    let status = pod.status.as_ref();
    let statuses = status
        .into_iter()
        .flat_map(|status| status.init_container_statuses.iter().flatten());
    let mut names = containers
        .map(|one| one.name.as_str())
        .chain(statuses.map(|one| one.name.as_str()));
    names.any(|name| name == CONTAINER)
}

/// Pods that come and go, and a task for the log of each.
struct Following {
    client: Client,
    sender: Sender,
    positions: Arc<Mutex<HashMap<String, Position>>>,
    /// By UID: who is told that the pod is gone.
    logs: HashMap<String, watch::Sender<bool>>,
    tasks: JoinSet<()>,
}

impl Following {
    async fn run(mut self, api: Api<Pod>) {
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut listed: Vec<String> = Vec::new();
        let mut away = false;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.sender.closed() => return,
            };
            match event {
                Some(Ok(watcher::Event::Apply(pod))) => self.join(&pod),
                Some(Ok(watcher::Event::Init)) => listed.clear(),
                Some(Ok(watcher::Event::InitApply(pod))) => {
                    listed.extend(pod.uid());
                    self.join(&pod);
                }
                // What a relist does not bring is gone.
                Some(Ok(watcher::Event::InitDone)) => self.logs.retain(|uid, gone| {
                    let there = listed.contains(uid);
                    if !there {
                        gone.send_replace(true);
                    }
                    there
                }),
                Some(Ok(watcher::Event::Delete(pod))) => {
                    if let Some(gone) = pod.uid().and_then(|uid| self.logs.remove(&uid)) {
                        gone.send_replace(true);
                    }
                }
                // The watch goes on by itself, more slowly each time; it is told once.
                Some(Err(why)) => {
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!("the pods cannot be watched now: {why}");
                    }
                    continue;
                }
                None => return,
            }
            away = false;
            while self.tasks.try_join_next().is_some() {}
        }
    }

    fn join(&mut self, pod: &Pod) {
        let Some(uid) = pod.uid().filter(|_| has_sidecar(pod)) else {
            return;
        };
        if self.logs.contains_key(&uid) {
            return;
        }
        let (gone, told) = watch::channel(false);
        let position = lock(&self.positions).remove(&uid).unwrap_or_default();
        self.logs.insert(uid, gone);
        let log = Log::new(&self.client, pod, self.sender.clone());
        self.tasks.spawn(log.follow(position, told));
    }
}

/// The log of one pod.
struct Log {
    api: Api<Pod>,
    pod: String,
    uid: String,
    name: PodName,
    sender: Sender,
}

/// How reading a log ended.
enum Ended {
    /// It is over for now, or the connection broke.
    Now,
    /// There is nothing more to come.
    ForGood,
}

impl Log {
    fn new(client: &Client, pod: &Pod, sender: Sender) -> Self {
        let namespace = pod.namespace().unwrap_or_default();
        Self {
            api: Api::namespaced(client.clone(), &namespace),
            pod: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            name: format!("{namespace}/{}", pod.name_any()).into(),
            sender,
        }
    }

    fn params(follow: bool, since: Option<Timestamp>) -> LogParams {
        LogParams {
            container: Some(CONTAINER.to_owned()),
            follow,
            since_time: since,
            timestamps: true,
            ..LogParams::default()
        }
    }

    /// What the log holds, and the place behind it.
    async fn past(self, past: Past) -> (String, Position) {
        let mut position = Position::default();
        let (params, tell) = match past {
            Past::Since(since) => (Self::params(false, since), true),
            // The last line alone, to know where the log stands; it is not told.
            Past::Nothing => {
                let mut params = Self::params(false, None);
                params.tail_lines = Some(1);
                (params, false)
            }
        };
        if let Err(why) = self.read(&params, &mut position, tell, &mut never()).await {
            let place = format!("the log of {}", self.name);
            let why = why.to_string();
            let _ = self.sender.send(Item::Broken { place, why }).await;
        }
        (self.uid, position)
    }

    /// The log from a place on, until the pod is gone.
    async fn follow(self, mut position: Position, mut gone: watch::Receiver<bool>) {
        let mut wait = FIRST_WAIT;
        loop {
            let params = Self::params(true, position.since());
            let before = position.since();
            match self.read(&params, &mut position, true, &mut gone).await {
                Ok(Ended::ForGood) => return,
                Ok(Ended::Now) => {}
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    let place = format!("the log of {}", self.name);
                    let why = status.message.clone();
                    let _ = self.sender.send(Item::Broken { place, why }).await;
                    return;
                }
                // Not started yet (400), gone (404), the node or the server away: in time it is there,
                // or the pod is not.
                Err(why) => tracing::debug!("the log of {}: {why}", self.name),
            }
            if *gone.borrow() {
                return;
            }
            if position.since() != before {
                wait = FIRST_WAIT;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = gone.changed() => {}
                () = self.sender.closed() => return,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn read(
        &self,
        params: &LogParams,
        position: &mut Position,
        tell: bool,
        gone: &mut watch::Receiver<bool>,
    ) -> kube::Result<Ended> {
        position.reconnect();
        let stream = self.api.log_stream(&self.pod, params).await?;
        let mut lines = std::pin::pin!(whole_lines(stream));
        let mut patience = std::pin::pin!(until_gone(gone));
        loop {
            let line = tokio::select! {
                line = lines.next() => line,
                () = &mut patience => return Ok(Ended::ForGood),
                () = self.sender.closed() => return Ok(Ended::ForGood),
            };
            let Some(Ok(line)) = line else {
                return Ok(Ended::Now);
            };
            let new = position.take(&line).filter(|text| !text.trim().is_empty());
            if let (Some(text), true) = (new, tell) {
                let item = Item::of_container(text.to_owned(), &self.name);
                if self.sender.send(item).await.is_err() {
                    return Ok(Ended::ForGood);
                }
            }
        }
    }
}

/// Lines that have their end. One that was cut comes again with the next connection.
fn whole_lines(
    stream: impl futures::AsyncBufRead,
) -> impl futures::Stream<Item = std::io::Result<String>> {
    futures::stream::try_unfold(Box::pin(stream), |mut stream| async move {
        let mut bytes = Vec::new();
        stream.read_until(b'\n', &mut bytes).await?;
        if bytes.pop() != Some(b'\n') {
            return Ok(None);
        }
        Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), stream)))
    })
    .into_stream()
}

/// Some time after the pod is gone.
async fn until_gone(gone: &mut watch::Receiver<bool>) {
    if gone.wait_for(|gone| *gone).await.is_ok() {
        tokio::time::sleep(LAST_LINES).await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// Nobody tells that a pod is gone.
fn never() -> watch::Receiver<bool> {
    watch::channel(false).1
}
