//! In what form the client wants an answer: the objects themselves, their metadata only, or the table
//! that kubectl prints. Read from `Accept`, applied to single objects, lists and watch events alike.

use bytes::Bytes;
use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::{Value, json};

use super::errors::ApiError;
use super::kinds::Kind;
use super::store::Object;
use super::table;

const ACCEPTED: [&str; 1] = ["application/json"];

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    /// `as=PartialObjectMetadata`, and `…List` for lists.
    Metadata,
    /// `as=Table`; what of the object goes into each row.
    Table(table::Include),
}

impl Form {
    /// The first form of `Accept` that the server has.
    pub(crate) fn of(headers: &HeaderMap, include: table::Include) -> Result<Form, ApiError> {
        let Some(accept) = headers.get(ACCEPT) else {
            return Ok(Form::Whole);
        };
        let accept = accept.to_str().unwrap_or_default();
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            if !matches!(media, "application/json" | "*/*" | "application/*") {
                continue;
            }
            let (mut wanted, mut version) = ("", "");
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("as", value)) => wanted = value,
                    Some(("v", value)) => version = value,
                    _ => {}
                }
            }
            match (wanted, version) {
                ("", _) => return Ok(Form::Whole),
                ("Table", "v1") => return Ok(Form::Table(include)),
                ("PartialObjectMetadata" | "PartialObjectMetadataList", "v1") => {
                    return Ok(Form::Metadata);
                }
                _ => {}
            }
        }
        Err(ApiError::not_acceptable(&ACCEPTED))
    }

    /// One object.
    pub(crate) fn object(self, kind: &Kind, object: &Object) -> Bytes {
        match self {
            Form::Whole => object.bytes().clone(),
            Form::Metadata => Bytes::from(metadata(&object.value).to_string()),
            Form::Table(include) => Bytes::from(
                table::render(
                    kind,
                    std::iter::once(&object.value),
                    &object.version.to_string(),
                    include,
                )
                .to_string(),
            ),
        }
    }

    /// Any value of this kind that is not stored, such as a bookmark.
    pub(crate) fn value(self, kind: &Kind, value: &Value) -> Bytes {
        match self {
            Form::Whole => Bytes::from(value.to_string()),
            Form::Metadata => Bytes::from(metadata(value).to_string()),
            Form::Table(_) => {
                let version = value["metadata"]["resourceVersion"]
                    .as_str()
                    .unwrap_or_default();
                let mut empty =
                    table::render(kind, std::iter::empty(), version, table::Include::None);
                empty["metadata"] = value["metadata"].clone();
                Bytes::from(empty.to_string())
            }
        }
    }

    /// A list with its metadata.
    pub(crate) fn list<'a>(
        self,
        kind: &Kind,
        objects: impl Iterator<Item = &'a Object>,
        list_metadata: &Value,
    ) -> Bytes {
        match self {
            Form::Whole => {
                let head = json!({
                    "kind": format!("{}List", kind.kind),
                    "apiVersion": kind.api_version(),
                    "metadata": list_metadata,
                });
                let items: Vec<&Bytes> = objects.map(Object::bytes).collect();
                let mut text = head.to_string().into_bytes();
                text.reserve(items.iter().map(|i| i.len() + 1).sum::<usize>() + 16);
                text.pop();
                text.extend_from_slice(b",\"items\":[");
                for (i, item) in items.into_iter().enumerate() {
                    if i > 0 {
                        text.push(b',');
                    }
                    text.extend_from_slice(item);
                }
                text.extend_from_slice(b"]}");
                Bytes::from(text)
            }
            Form::Metadata => {
                let items: Vec<Value> = objects.map(|o| metadata(&o.value)).collect();
                let list = json!({
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": list_metadata,
                    "items": items,
                });
                Bytes::from(list.to_string())
            }
            Form::Table(include) => {
                let mut table = table::render(kind, objects.map(|o| &o.value), "", include);
                table["metadata"] = list_metadata.clone();
                Bytes::from(table.to_string())
            }
        }
    }
}

/// An object reduced to its metadata.
pub(crate) fn metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}
