//! What a request asks for: its query, read once, with every mistake told.
//!
//! A parameter that is there twice is refused: the API server's RBAC looked at one of the two, and
//! nobody should have to know which.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::form::Include;
use super::refusal::Refusal;
use super::selector::Selector;

/// A query.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Changes are wanted, not a list.
    pub watch: bool,
    /// Which objects.
    pub selector: Selector,
    /// Objects of a page; 0: all.
    pub limit: usize,
    /// Where the page begins.
    pub continues: Option<String>,
    /// Where a watch begins.
    pub version: Option<String>,
    /// Bookmarks are welcome.
    pub bookmarks: bool,
    /// Whether a watch begins with everything there is; `None`: as the version says.
    pub initial_events: Option<bool>,
    /// The watch ends after so long.
    pub timeout: Option<Duration>,
    /// The stream of a sidecar: slices too.
    pub slices: bool,
    /// Who has this address?
    pub peer: Option<IpAddr>,
    /// What of an object a row of a table carries.
    pub include: Include,
}

impl Query {
    /// Reads a query string.
    ///
    /// # Errors
    /// 400 with everything that is wrong.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let mut wrong = Vec::new();
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            if all.insert(key.to_string(), value.into_owned()).is_some() {
                wrong.push(format!("{key}: is there twice"));
            }
        }
        let mut of = |key: &str| all.remove(key).filter(|value| !value.is_empty());
        let (fields, labels) = (of("fieldSelector"), of("labelSelector"));
        let selector = Selector::read(fields.as_deref(), labels.as_deref());
        let mut read = Reader { wrong: &mut wrong };
        let query = Self {
            watch: read.flag("watch", of("watch")).unwrap_or(false),
            selector: read.part(selector).unwrap_or_default(),
            limit: read.number("limit", of("limit")).unwrap_or(0),
            continues: of("continue"),
            version: of("resourceVersion"),
            bookmarks: read
                .flag("allowWatchBookmarks", of("allowWatchBookmarks"))
                .unwrap_or(false),
            initial_events: read.flag("sendInitialEvents", of("sendInitialEvents")),
            timeout: read
                .number("timeoutSeconds", of("timeoutSeconds"))
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            slices: read.flag("slices", of("slices")).unwrap_or(false),
            peer: read.number("peer", of("peer")),
            include: read
                .part(Include::read(of("includeObject").as_deref()))
                .unwrap_or_default(),
        };
        if wrong.is_empty() {
            Ok(query)
        } else {
            Err(Refusal::bad_request(wrong.join("; ")))
        }
    }
}

struct Reader<'a> {
    wrong: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn part<T>(&mut self, part: Result<T, String>) -> Option<T> {
        part.map_err(|wrong| self.wrong.push(wrong)).ok()
    }

    /// As Go's `strconv.ParseBool` reads it.
    fn flag(&mut self, key: &str, value: Option<String>) -> Option<bool> {
        let value = value?;
        match value.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            other => self.part(Err(format!("{key}: {other:?} is neither true nor false"))),
        }
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        key: &str,
        value: Option<String>,
    ) -> Option<T> {
        let value = value?;
        let read = value
            .parse()
            .map_err(|error| format!("{key}: {value:?}: {error}"));
        self.part(read)
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_clients_send_is_understood() {
        let sidecar =
            "watch=true&fieldSelector=metadata.name%3Ddb-0&allowWatchBookmarks=true&slices=true";
        let query = Query::read(sidecar).unwrap();
        assert!(query.watch && query.bookmarks && query.slices);
        assert_eq!(query.selector.name(), Some("db-0"));
        let kubectl = "limit=500&includeObject=Object&watch=0&labelSelector=a%20in%20(b%2Cc)";
        let query = Query::read(kubectl).unwrap();
        assert_eq!(
            (query.limit, query.watch, query.include),
            (500, false, Include::Object)
        );
        let peer = Query::read("watch=true&peer=fd00::7").unwrap().peer;
        assert_eq!(peer, Some("fd00::7".parse().unwrap()));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let error = Query::read(
            "watch=yes&limit=-1&peer=shop&fieldSelector=spec.node%3Dn&labelSelector=a%20in%20b)&slices=1&slices=0",
        );
        let error = error.unwrap_err().to_string();
        for part in [
            "watch:",
            "limit:",
            "peer:",
            "spec.node",
            "slices: is there twice",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_fall(text in "\\PC{0,80}") {
            let _ = Query::read(&text);
        }

        #[test]
        fn a_name_is_exact_only_if_nothing_else_can_match(text in "(metadata\\.name|metadata\\.namespace)(=|==|!=)[a-z0-9.-]{0,9}(,(metadata\\.name)(=|!=)[a-z]{0,3}){0,2}") {
            let selector = Selector::read(Some(&text), None).unwrap();
            if let Some(name) = selector.name() {
                let other = format!("{name}x");
                prop_assert!(!selector.matches_fields("shop", &other));
            }
        }
    }
}
