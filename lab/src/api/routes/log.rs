//! `pods/NAME/log` of the container `sidewall`: the pod's flow log, as a kubelet would serve it.
//! Applications in the lab have no log.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;

use super::{Call, Shared, answer};
use crate::api::errors::ApiError;
use crate::api::request::Target;
use crate::api::store::Key;
use crate::flows::FlowLine;
use crate::sidecar::SIDECAR_CONTAINER;

/// A log that is followed ends this long after its pod at the latest.
const LOOK_FOR_POD: Duration = Duration::from_millis(200);

pub(super) fn log(
    shared: &std::sync::Arc<Shared>,
    call: &Call,
    target: &Target,
) -> Result<Response, ApiError> {
    let name = target.name()?;
    let key = Key::new(target.namespace(), name);
    let pod = shared.store.read(target.kind, &key)?;
    let has_sidecar = pod.value["status"]["initContainerStatuses"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["name"] == SIDECAR_CONTAINER));
    let container = call.query.get("container").unwrap_or(SIDECAR_CONTAINER);
    let flows = shared
        .logs
        .get()
        .filter(|_| has_sidecar && container == SIDECAR_CONTAINER);
    let Some(flows) = flows else {
        return Err(ApiError::bad_request(format!(
            "container {container} is not valid for pod {name}"
        )));
    };
    let timestamps = call.query.flag("timestamps");
    let since = since(call)?;
    let full_name = format!("{}/{name}", target.namespace());
    let wanted = move |line: &FlowLine| {
        *line.pod == *full_name && since.is_none_or(|since| line.at >= since)
    };
    let text = move |line: &FlowLine| {
        Bytes::from(match timestamps {
            true => format!("{:.9} {}\n", line.at, line.flow),
            false => format!("{}\n", line.flow),
        })
    };
    let tail = call.query.number("tailLines")?;
    let tail = tail.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX));
    // Under one lock with what comes, so that no line is missed in between.
    let (history, live) = flows.split();
    let mut history: Vec<FlowLine> = history.into_iter().filter(&wanted).collect();
    if let Some(tail) = tail {
        history.drain(..history.len().saturating_sub(tail));
    }
    let history: Vec<Bytes> = history.iter().map(&text).collect();
    if !call.query.flag("follow") {
        return Ok(answer::plain(Body::from(history.concat())));
    }
    let uid = pod.value["metadata"]["uid"].clone();
    let (store, kind) = (shared.store.clone(), target.kind);
    let gone = async move {
        let there = || {
            let pod = store.core().get(kind, &key);
            pod.is_some_and(|pod| pod.value["metadata"]["uid"] == uid)
        };
        while there() {
            tokio::time::sleep(LOOK_FOR_POD).await;
        }
    };
    let live = live.filter(move |line| futures::future::ready(wanted(line)));
    let live = live.map(move |line| text(&line)).take_until(Box::pin(gone));
    let lines = stream::iter(history).chain(live).map(Ok::<_, Infallible>);
    Ok(answer::plain(Body::from_stream(lines)))
}

/// From when on; whole seconds, as `metav1.Time` has them.
fn since(call: &Call) -> Result<Option<Timestamp>, ApiError> {
    if let Some(text) = call.query.get("sinceTime") {
        let time: Timestamp = text
            .parse()
            .map_err(|why| ApiError::bad_request(format!("sinceTime: {why}")))?;
        return Ok(Timestamp::from_second(time.as_second()).ok());
    }
    let seconds = call.query.number("sinceSeconds")?;
    Ok(seconds.and_then(|seconds| {
        let back = jiff::SignedDuration::from_secs(i64::try_from(seconds).ok()?);
        Timestamp::now().checked_sub(back).ok()
    }))
}
