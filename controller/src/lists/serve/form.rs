//! In what form the client wants an answer: the objects themselves, their metadata only, or the table
//! that kubectl prints. Read from `Accept`.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;

use super::refusal::Refusal;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The objects.
    Whole,
    /// `as=PartialObjectMetadata`, and `…List` for lists.
    Metadata,
    /// `as=Table`.
    Table,
}

/// What of an object a row of a table carries (`includeObject`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// Reads the parameter.
    ///
    /// # Errors
    /// When it is none of the words.
    pub fn read(text: Option<&str>) -> Result<Self, String> {
        match text {
            None => Ok(Self::default()),
            Some("None") => Ok(Self::None),
            Some("Metadata") => Ok(Self::Metadata),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(format!(
                "includeObject: {other:?} is not None, Metadata or Object"
            )),
        }
    }
}

/// One of the media types that a client accepts.
pub struct Accepted<'a> {
    essence: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Accepted<'_> {
    /// A parameter.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        all.find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// Whether JSON is one of it.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.essence, "application/json" | "application/*" | "*/*")
    }
}

/// The media types that a client accepts, in its order; without the header, JSON.
pub fn accepted(headers: &HeaderMap) -> impl Iterator<Item = Accepted<'_>> {
    let accept = headers.get_all(ACCEPT).iter();
    let mut texts: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
    if !headers.contains_key(ACCEPT) {
        texts.push("application/json");
    }
    let types = texts.into_iter().flat_map(|text| text.split(','));
    types.map(|media| {
        let mut parts = media.split(';').map(str::trim);
        Accepted {
            essence: parts.next().unwrap_or_default(),
            parameters: parts.filter_map(|part| part.split_once('=')).collect(),
        }
    })
}

impl Form {
    /// The first form that the client accepts and that there is.
    ///
    /// # Errors
    /// 406 when there is none.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let form = |accepted: Accepted<'_>| {
            if !accepted.is_json() {
                return None;
            }
            let meta = accepted.get("g") == Some("meta.k8s.io")
                && matches!(accepted.get("v"), Some("v1" | "v1beta1"));
            match accepted.get("as") {
                None => Some(Self::Whole),
                Some("Table") if meta => Some(Self::Table),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") if meta => {
                    Some(Self::Metadata)
                }
                Some(_) => None,
            }
        };
        accepted(headers)
            .find_map(form)
            .ok_or_else(Refusal::not_acceptable)
    }
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        Form::of(&headers).ok()
    }

    #[test]
    fn the_first_form_that_there_is() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(form(kubectl), Some(Form::Table));
        assert_eq!(
            form("application/vnd.kubernetes.protobuf, */*"),
            Some(Form::Whole)
        );
        assert_eq!(form("application/json;as=Table;v=v9;g=meta.k8s.io"), None);
        assert_eq!(form("application/vnd.kubernetes.protobuf"), None);
        let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(form(metadata), Some(Form::Metadata));
        assert_eq!(Form::of(&HeaderMap::new()).unwrap(), Form::Whole);
    }
}
