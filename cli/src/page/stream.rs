//! One browser's stream of events: what is there, then what is new. Rows pass its filter, and more of
//! them than anyone can read are thinned here, with their number told.

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde::Serialize;
use sidewall::flows::filter::Filter;
use tokio::sync::broadcast::error::RecvError;

use super::edges::Edge;
use super::hub::{Hub, Message};
use super::line::Row;

/// Rows sent at the beginning.
const FIRST: usize = 200;
/// Rows in one event; five events come a second, and nobody reads 100 lines a second.
const AT_ONCE: usize = 20;

/// Rows as sent.
#[derive(Serialize)]
struct Batch<'a> {
    rows: Vec<&'a Row>,
    /// Rows that pass the filter and are not sent.
    skipped: usize,
}

/// Opens a stream.
pub(super) fn open(
    hub: &Hub,
    filter: Filter,
    version: u64,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let beginning = hub.begin();
    let first = [
        event("state", &serde_json::json!({ "version": version })),
        event("edges", &beginning.edges),
        batch(&filter, &beginning.rows, FIRST),
    ];
    let first = futures::stream::iter(first.into_iter().flatten().map(Ok));
    let rest = futures::stream::unfold(
        (beginning.messages, hub.clone(), filter),
        |(mut messages, hub, filter)| async move {
            loop {
                let event = match messages.recv().await {
                    Ok(Message::State(version)) => {
                        event("state", &serde_json::json!({ "version": version }))
                    }
                    Ok(Message::Edges(edges)) => event("edges", edges.as_ref()),
                    Ok(Message::Hits(hits)) => event("hits", hits.as_ref()),
                    Ok(Message::Rows(rows)) => batch(&filter, &rows, AT_ONCE),
                    // Too slow: what matters is how it stands now.
                    Err(RecvError::Lagged(_)) => event::<Vec<Edge>>("edges", &hub.edges()),
                    Err(RecvError::Closed) => return None,
                };
                if let Some(event) = event {
                    return Some((Ok(event), (messages, hub, filter)));
                }
            }
        },
    );
    Sse::new(futures::StreamExt::chain(first, rest)).keep_alive(KeepAlive::default())
}

fn event<T: Serialize>(name: &str, data: &T) -> Option<Event> {
    match Event::default().event(name).json_data(data) {
        Ok(event) => Some(event),
        Err(why) => {
            tracing::error!("an event cannot be written: {why}");
            None
        }
    }
}

/// The newest rows that pass; nothing if none does.
fn batch(filter: &Filter, rows: &[Arc<Row>], most: usize) -> Option<Event> {
    let passing: Vec<&Row> = rows
        .iter()
        .map(Arc::as_ref)
        .filter(|row| filter.matches(&row.entry.line))
        .collect();
    let skipped = passing.len().saturating_sub(most);
    let rows: Vec<&Row> = passing[skipped..].to_vec();
    // What came before is history: only what is left out of the live stream is worth a number.
    let skipped = if most == FIRST { 0 } else { skipped };
    if rows.is_empty() {
        return None;
    }
    event("flows", &Batch { rows, skipped })
}
