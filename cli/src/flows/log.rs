//! The log of one sidecar, read to its end or followed until its pod is gone.

use std::time::Duration;

use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use kube::{Client, ResourceExt as _};
use sidewall_controller::inject::CONTAINER;
use tokio::sync::watch;

use super::position::Position;
use super::sidecars::Past;
use super::{Item, PodName, Sender};

/// Wait before a broken log is asked for again; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long the log of a pod that is gone may go on.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The log of one pod.
pub(super) struct Log {
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
    pub(super) fn new(client: &Client, pod: &Pod, sender: Sender) -> Self {
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
    pub(super) async fn past(self, past: Past) -> (String, Position) {
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
    pub(super) async fn follow(self, mut position: Position, mut gone: watch::Receiver<bool>) {
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
