//! Who asks, as the API server tells in headers (the front proxy of its documentation,
//! "authenticating proxy"); only believed from a connection that has shown the front proxy's
//! certificate ([`super::front_proxy`]).

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use sidewall::policy::allow_list::ObjectRef;

use super::refusal::Refusal;

/// The extras by which a token says which pod it is bound to (KEP-4193, `serviceaccount.PodNameKey`
/// and `PodUIDKey`).
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// The name.
    pub name: String,
    /// The UID, if it has one.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// What the authenticator knows beyond that.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The pod whose token a user shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPod {
    /// Its namespace and name.
    pub pod: ObjectRef,
    /// Its UID.
    pub uid: String,
}

/// The headers that name a user, as the API server says that it calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The user's name.
    pub name: Vec<HeaderName>,
    /// The user's UID.
    pub uid: Vec<HeaderName>,
    /// A group each.
    pub group: Vec<HeaderName>,
    /// What extras begin with, in lower case.
    pub extra: Vec<String>,
}

impl Headers {
    /// The user of a request.
    ///
    /// # Errors
    /// 401 when no user is named, or two.
    pub fn user(&self, headers: &HeaderMap) -> Result<User, Refusal> {
        let name = one(headers, &self.name)?
            .ok_or_else(|| Refusal::unauthorized("the front proxy named no user"))?;
        let mut groups = Vec::new();
        for header in &self.group {
            for value in headers.get_all(header) {
                groups.push(text(value.as_bytes())?);
            }
        }
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (header, value) in headers {
            let mut prefixes = self.extra.iter();
            let Some(key) = prefixes.find_map(|prefix| header.as_str().strip_prefix(prefix)) else {
                continue;
            };
            let values = extra.entry(unescaped(key)).or_default();
            values.push(text(value.as_bytes())?);
        }
        Ok(User {
            name,
            uid: one(headers, &self.uid)?,
            groups,
            extra,
        })
    }
}

/// The one value of the first of these headers that is there; two are nobody's.
fn one(headers: &HeaderMap, names: &[HeaderName]) -> Result<Option<String>, Refusal> {
    for name in names {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next().filter(|value| !value.is_empty()) else {
            continue;
        };
        if values.next().is_some() {
            return Err(Refusal::unauthorized(format!(
                "the header {name} is there twice"
            )));
        }
        return text(value.as_bytes()).map(Some);
    }
    Ok(None)
}

fn text(bytes: &[u8]) -> Result<String, Refusal> {
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| Refusal::unauthorized("a header that names the user is no text"))
}

/// An extra's key as it was before it became a header's name: lower case, and with `%2f` for a slash
/// (apimachinery, `transport.headerKeyEscape`). One that does not decode stays as it is, as there.
fn unescaped(key: &str) -> String {
    let decoded = percent_decode_str(key).decode_utf8();
    decoded.map_or_else(|_| key.to_owned(), |key| key.to_lowercase())
}

impl User {
    /// The pod that the user's token is bound to; `None` for people, and for tokens of no pod.
    #[must_use]
    pub fn own_pod(&self) -> Option<OwnPod> {
        let account = self.name.strip_prefix("system:serviceaccount:")?;
        let (namespace, account) = account.split_once(':')?;
        if namespace.is_empty() || account.is_empty() || account.contains(':') {
            return None;
        }
        let single = |key: &str| match self.extra.get(key)?.as_slice() {
            [value] if !value.is_empty() => Some(value.clone()),
            _ => None,
        };
        Some(OwnPod {
            pod: ObjectRef {
                namespace: namespace.to_owned(),
                name: single(POD_NAME)?,
            },
            uid: single(POD_UID)?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    /// As kube-apiserver calls them by default.
    pub(crate) fn usual() -> Headers {
        let name = HeaderName::from_static;
        Headers {
            name: vec![name("x-remote-user")],
            uid: vec![name("x-remote-uid")],
            group: vec![name("x-remote-group")],
            extra: vec!["x-remote-extra-".to_owned()],
        }
    }

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_bound_token_names_its_pod() {
        let user = usual().user(&headers(&[
            ("x-remote-user", "system:serviceaccount:shop:default"),
            ("x-remote-group", "system:serviceaccounts"),
            ("x-remote-group", "system:authenticated"),
            (
                "x-remote-extra-authentication.kubernetes.io%2fpod-name",
                "db-0",
            ),
            (
                "x-remote-extra-authentication.kubernetes.io%2fpod-uid",
                "u-1",
            ),
        ]));
        let user = user.unwrap();
        assert_eq!(
            user.groups,
            ["system:serviceaccounts", "system:authenticated"]
        );
        let own = user.own_pod().unwrap();
        assert_eq!(
            (own.pod.namespace.as_str(), own.pod.name.as_str()),
            ("shop", "db-0")
        );
        assert_eq!(own.uid, "u-1");
    }

    #[test]
    fn half_a_binding_two_bindings_and_people_name_none() {
        let pod = (
            "x-remote-extra-authentication.kubernetes.io%2fpod-name",
            "db-0",
        );
        let uid = (
            "x-remote-extra-authentication.kubernetes.io%2fpod-uid",
            "u-1",
        );
        let account = ("x-remote-user", "system:serviceaccount:shop:default");
        for wrong in [
            vec![account, pod],
            vec![account, uid],
            vec![account, pod, pod, uid],
            vec![("x-remote-user", "system:serviceaccount:shop"), pod, uid],
            vec![
                ("x-remote-user", "system:serviceaccount:shop:a:b"),
                pod,
                uid,
            ],
            vec![("x-remote-user", "system:serviceaccount::a"), pod, uid],
            vec![("x-remote-user", "jane"), pod, uid],
        ] {
            let user = usual().user(&headers(&wrong)).unwrap();
            assert_eq!(user.own_pod(), None, "{wrong:?}");
        }
        let twice = headers(&[account, ("x-remote-user", "admin")]);
        assert_eq!(usual().user(&twice).unwrap_err().code(), 401);
        assert_eq!(usual().user(&headers(&[pod])).unwrap_err().code(), 401);
    }

    proptest! {
        /// What kube-apiserver does to an extra's key: all but the characters of a header's name are
        /// escaped, and the name is lower case on the way.
        #[test]
        fn any_extra_comes_back(key in "[ -~]{1,40}", value in "[!-~]{1,20}") {
            let mut escaped = String::new();
            for byte in key.bytes() {
                if byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte) {
                    escaped.push(char::from(byte));
                } else {
                    escaped.push_str(&format!("%{byte:02x}"));
                }
            }
            let name = format!("x-remote-extra-{escaped}").to_lowercase();
            let mut all = headers(&[("x-remote-user", "jane")]);
            all.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            let user = usual().user(&all).unwrap();
            prop_assert_eq!(user.extra.get(&key.to_lowercase()), Some(&vec![value]));
        }

        /// Whatever is sent, somebody or nobody asks, and no pod's name comes from anything but the
        /// two extras.
        #[test]
        fn nonsense_is_nobodys_pod(
            names in proptest::collection::vec("[a-z%0-9-]{1,30}", 0..6),
            values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..6),
        ) {
            let mut all = headers(&[("x-remote-user", "system:serviceaccount:shop:default")]);
            for (name, value) in names.iter().zip(&values) {
                let name = HeaderName::from_bytes(format!("x-remote-extra-{name}").as_bytes());
                if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                    all.append(name, value);
                }
            }
            if let Ok(user) = usual().user(&all) {
                prop_assert_eq!(user.own_pod(), None);
            }
        }
    }
}
