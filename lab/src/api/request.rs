//! What a request asks for: its path and query read once into [`Target`] and [`Query`].
//!
//! The path's grammar is the API's own (`/api/v1/namespaces/NS/pods/NAME/status`), the verb is the one
//! that authorisation speaks of (`list`, not `GET`). Nothing is decided here; `routes` does that.

use std::collections::HashMap;

use http::Method;

use super::errors::ApiError;
use super::kinds::Kind;

/// A request for a stored resource.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub kind: &'static Kind,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<String>,
    pub verb: &'static str,
}

impl Target {
    /// Reads a path below `/api/v1` or `/apis/GROUP/VERSION`; `None` when no served kind is named.
    pub(crate) fn parse(method: &Method, path: &str, query: &Query) -> Option<Target> {
        let mut parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let (group, version) = match *parts.first()? {
            "api" => ("", *parts.get(1)?),
            "apis" => (*parts.get(1)?, *parts.get(2)?),
            _ => return None,
        };
        parts.drain(..if group.is_empty() { 2 } else { 3 });

        let mut namespace = None;
        // `/namespaces/x` is the object, `/namespaces/x/status` its subresource, and
        // `/namespaces/x/pods` a collection in it.
        if parts.first() == Some(&"namespaces")
            && parts.len() > 2
            && !matches!(parts[2], "status" | "finalize")
        {
            namespace = Some(parts[1].to_owned());
            parts.drain(..2);
        }
        let kind = Kind::by_plural(group, version, parts.first()?)?;
        if parts.len() > 3 || (namespace.is_some() && !kind.namespaced) {
            return None;
        }
        let name = parts.get(1).map(|s| percent_decode(s));
        let subresource = parts.get(2).map(|s| (*s).to_owned());
        let verb = match *method {
            Method::GET | Method::HEAD if query.flag("watch") => "watch",
            Method::GET | Method::HEAD if name.is_some() => "get",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if name.is_some() => "delete",
            Method::DELETE => "deletecollection",
            _ => return None,
        };
        Some(Target {
            kind,
            namespace,
            name,
            subresource,
            verb,
        })
    }

    pub(crate) fn name(&self) -> Result<&str, ApiError> {
        self.name
            .as_deref()
            .ok_or_else(ApiError::method_not_allowed)
    }

    /// The namespace, empty for objects of the cluster.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

/// The query string, decoded.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query(HashMap<String, String>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Query {
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|p| !p.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (form_decode(key), form_decode(value))
                })
                .collect(),
        )
    }

    /// A parameter that was given and is not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .get(key)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// True for `1`, `true` and a bare key, as the API reads booleans.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0
            .get(key)
            .is_some_and(|v| !matches!(v.as_str(), "0" | "false"))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        self.get(key)
            .map(|v| {
                v.parse().map_err(|_| {
                    ApiError::bad_request(format!(
                        "strconv.ParseInt: parsing {v:?}: invalid syntax"
                    ))
                })
            })
            .transpose()
    }

    /// `resourceVersion`; absent and empty are the same.
    pub(crate) fn resource_version(&self) -> Result<Option<u64>, ApiError> {
        self.get("resourceVersion")
            .map(|v| {
                v.parse().map_err(|_| {
                    ApiError::bad_request(format!(
                        "resourceVersion: Invalid value: {v:?}: strconv.ParseUint: parsing {v:?}: invalid syntax"
                    ))
                })
            })
            .transpose()
    }
}

fn form_decode(text: &str) -> String {
    percent_decode(&text.replace('+', " "))
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%')
            .then(|| text.get(i + 1..i + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, path: &str, query: &str) -> Option<Target> {
        Target::parse(&method, path, &Query::parse(Some(query)))
    }

    #[test]
    fn a_path_names_kind_namespace_name_and_subresource() {
        let t = parse(Method::PATCH, "/api/v1/namespaces/a/pods/b/status", "").unwrap();
        assert_eq!(
            (t.kind.plural, t.namespace(), t.verb),
            ("pods", "a", "patch")
        );
        assert_eq!(
            (t.name.as_deref(), t.subresource.as_deref()),
            (Some("b"), Some("status"))
        );
    }

    #[test]
    fn a_namespace_is_an_object_and_its_status_a_subresource() {
        let t = parse(Method::GET, "/api/v1/namespaces/a", "").unwrap();
        assert_eq!(
            (t.kind.plural, t.name.as_deref(), t.verb),
            ("namespaces", Some("a"), "get")
        );
        let t = parse(Method::PUT, "/api/v1/namespaces/a/finalize", "").unwrap();
        assert_eq!(
            (t.name.as_deref(), t.subresource.as_deref()),
            (Some("a"), Some("finalize"))
        );
    }

    #[test]
    fn watch_is_a_verb_of_its_own() {
        let path = "/apis/networking.k8s.io/v1/networkpolicies";
        assert_eq!(parse(Method::GET, path, "watch=1").unwrap().verb, "watch");
        assert_eq!(
            parse(Method::GET, path, "watch=false").unwrap().verb,
            "list"
        );
        assert_eq!(
            parse(Method::DELETE, path, "").unwrap().verb,
            "deletecollection"
        );
    }

    #[test]
    fn unknown_kinds_and_groups_lead_nowhere() {
        for path in [
            "/api/v1/widgets",
            "/apis/apps/v1/pods",
            "/api/v2/pods",
            "/metrics",
        ] {
            assert!(parse(Method::GET, path, "").is_none(), "{path}");
        }
    }

    #[test]
    fn query_values_are_decoded() {
        let q = Query::parse(Some("labelSelector=a%3Db%2Cc+in+%28d%29&limit=5"));
        assert_eq!(q.get("labelSelector"), Some("a=b,c in (d)"));
        assert_eq!(q.number("limit").unwrap(), Some(5));
    }
}
