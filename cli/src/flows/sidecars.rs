//! The flow logs of a cluster's sidecars, read as container logs through the API server.
//!
//! Pods are listed and watched: new ones join, ended ones leave when their log has ended. A log
//! whose connection breaks is taken up where it was ([`super::log`], [`super::position`]). The order is that of
//! each pod; who wants one order of all sorts by time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use sidewall_controller::inject::CONTAINER;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::log::Log;
use super::position::Position;
use super::{Lines, Sender, channel};

/// Logs read at once when all of them are asked for what they hold: what `kubectl logs` allows
/// itself (`--max-log-requests`) times three.
const AT_ONCE: usize = 15;

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
