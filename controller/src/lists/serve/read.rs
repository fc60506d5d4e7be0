//! Lists and single objects.
//!
//! A list is taken out whole under the lock, as shared values, and written object by object as the
//! client takes it. A page says where the next one begins and carries the version of the first page:
//! whoever lists in pages and watches from there misses nothing, since the watch tells everything that
//! changed while pages were read.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sidewall::lists::catalogue::Revision;
use sidewall::policy::allow_list::ObjectRef;

use super::access::Wanted;
use super::form::Form;
use super::found::{Found, Shape};
use super::object::{api_version, json as bytes_of};
use super::query::Query;
use super::refusal::Refusal;
use super::table;
use crate::lists::GROUP;
use crate::lists::state::Lists;
use crate::lists::version::{Epoch, Since};

/// Objects that are written at once.
const AT_ONCE: usize = 64;

/// Where the next page begins.
#[derive(Debug, Serialize, Deserialize)]
struct Next {
    /// The version of the first page.
    version: String,
    behind: ObjectRef,
}

/// One object.
///
/// # Errors
/// 404 when there is none.
pub async fn get(lists: &Lists, wanted: &Wanted, shape: &Shape) -> Result<Response, Refusal> {
    let state = lists.read().await?;
    let found = Found::one(&state, wanted);
    drop(state);
    let found = found.ok_or_else(|| {
        let name = wanted.name.as_deref().unwrap_or_default();
        let plural = wanted.resource.plural();
        Refusal::not_found(format!("{plural}.{GROUP} {name:?} not found"))
    })?;
    Ok(answer(Body::from(bytes_of(
        &shape.one(lists.epoch, &found),
    ))))
}

/// All objects, or a page of them.
///
/// # Errors
/// 400 for a continue that is none, 410 for one that is too old.
pub async fn list(
    lists: &Lists,
    wanted: &Wanted,
    query: &Query,
    shape: Shape,
) -> Result<Response, Refusal> {
    let epoch = lists.epoch;
    let state = lists.read().await?;
    let now = state.catalogue.revision();
    let next = query.continues.as_deref().map(next).transpose()?;
    let first = match next.as_ref().map(|next| epoch.read(Some(&next.version))) {
        None => now,
        Some(Ok(Since::At(first))) if state.ring.since(first).is_some() => first,
        Some(Ok(_)) => {
            return Err(Refusal::expired(
                "the continue parameter is too old: list again from the beginning",
            ));
        }
        Some(Err(refusal)) => return Err(refusal),
    };
    let behind = next.as_ref().map(|next| &next.behind);
    let most = if query.limit == 0 {
        usize::MAX
    } else {
        query.limit
    };
    let (found, more) = Found::some(&state, wanted, &query.selector, behind, most);
    drop(state);
    let next = found.last().filter(|_| more).map(|last| Next {
        version: epoch.version(first).to_string(),
        behind: last.place(),
    });
    Ok(answer(write(epoch, first, found, next, shape)))
}

fn next(text: &str) -> Result<Next, Refusal> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let next = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    next.ok_or_else(|| Refusal::bad_request("continue: this server did not give it out"))
}

fn write(
    epoch: Epoch,
    version: Revision,
    found: Vec<Found>,
    next: Option<Next>,
    shape: Shape,
) -> Body {
    let mut metadata = json!({"resourceVersion": epoch.version(version).to_string()});
    if let Some(next) = next {
        metadata["continue"] = json!(BASE64_URL_SAFE_NO_PAD.encode(bytes_of(&next)));
    }
    let (mut head, items) = match shape.form {
        Form::Table => {
            let version = json!(null);
            (table::table(shape.resource, true, &version, &[]), "rows")
        }
        Form::Whole => {
            let kind = format!("{}List", shape.resource.kind());
            (json!({"kind": kind, "apiVersion": api_version()}), "items")
        }
        Form::Metadata => {
            let kind = "PartialObjectMetadataList";
            (
                json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"}),
                "items",
            )
        }
    };
    head["metadata"] = metadata;
    if let Some(head) = head.as_object_mut() {
        head.remove("rows");
    }
    let mut opening = head.to_string();
    opening.pop();
    opening.push_str(&format!(",\"{items}\":["));
    let item = move |found: &Found| -> Value {
        match shape.form {
            Form::Table => table::row(found, epoch, shape.include),
            Form::Whole | Form::Metadata => shape.one(epoch, found),
        }
    };
    let mut first = true;
    let mut found = found.into_iter();
    let objects = std::iter::from_fn(move || {
        let mut piece = Vec::new();
        for found in found.by_ref().take(AT_ONCE) {
            if !std::mem::take(&mut first) {
                piece.push(b',');
            }
            piece.extend_from_slice(&bytes_of(&item(&found)));
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    });
    let pieces = std::iter::once(Bytes::from(opening))
        .chain(objects)
        .chain(std::iter::once(Bytes::from_static(b"]}\n")));
    Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)))
}

fn answer(body: Body) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, json)], body).into_response()
}
