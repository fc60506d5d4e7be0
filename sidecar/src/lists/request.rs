//! What is asked of the controller, through the API server: the one stream of the own pod's list, and
//! now and then whose an address is. Both are the same verb on the same resource.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use sidewall::lists::stream::{GROUP, Refusal, VERSION};
use sidewall::policy::allow_list::ObjectRef;
use tokio::time::timeout;

use super::problem::End;
use crate::watch::problem::Cause;

/// Of a refusal's text, no more than this is read: a Status is some hundred bytes.
const MOST_REFUSAL: usize = 16 << 10;

/// A refusal's text must come within this time.
const REFUSAL: Duration = Duration::from_secs(5);

/// The stream of the own list, from a version or from the beginning.
pub(super) fn list(pod: &ObjectRef, version: Option<&str>) -> String {
    // Our own controller's versions are numbers; anything else is not put into an address.
    let is_number =
        |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let from = version.filter(is_number);
    let from = from.map(|version| format!("&resourceVersion={version}"));
    format!(
        "{}&slices=true{}",
        watch(pod),
        from.as_deref().unwrap_or_default()
    )
}

/// Whose an address is.
pub(super) fn peer(pod: &ObjectRef, address: IpAddr) -> String {
    // A colon may stand in a query as it is (RFC 3986 §3.4).
    format!("{}&peer={address}", watch(pod))
}

fn watch(pod: &ObjectRef) -> String {
    // Names of pods and namespaces are of letters, digits, '-' and '.'; the configuration has looked.
    let ObjectRef { namespace, name } = pod;
    format!(
        "/apis/{GROUP}/{VERSION}/namespaces/{namespace}/allowlists?watch=true&fieldSelector=metadata.name%3D{name}&allowWatchBookmarks=true"
    )
}

/// Asks, and gives what the answer's body brings, piece by piece.
pub(super) async fn ask(
    client: &Client,
    path: &str,
    patience: Duration,
) -> Result<impl Stream<Item = Result<Bytes, End>> + Unpin + use<>, End> {
    let request = Request::get(path)
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|error| End::Unreachable(error.to_string()))?;
    let response = match timeout(patience, client.send(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(unreachable(&error)),
        Err(_) => return Err(End::Stalled(patience)),
    };
    if response.status() != StatusCode::OK {
        return Err(refused(response).await);
    }
    let pieces = response.into_body().into_data_stream();
    Ok(pieces.map(|piece| piece.map_err(|error| unreachable(&error))))
}

fn unreachable(error: &kube::Error) -> End {
    match Cause::from(error) {
        Cause::Unreachable(told) => End::Unreachable(told),
        _ => End::Unreachable(error.to_string()),
    }
}

async fn refused(response: Response<Body>) -> End {
    let code = response.status();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after
        .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = http_body_util::Limited::new(response.into_body(), MOST_REFUSAL);
    let text = match timeout(REFUSAL, body.collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let mut said: Refusal = serde_json::from_slice(&text).unwrap_or_else(|_| Refusal {
        // The aggregation layer answers with plain text when it cannot reach the controller.
        message: String::from_utf8_lossy(&text).trim().to_owned(),
        reason: code.canonical_reason().unwrap_or_default().to_owned(),
        code: 0,
    });
    said.code = code.as_u16();
    End::Refused { said, retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_list_is_one_verb_on_one_resource_and_nothing_else_is_put_into_the_address() {
        let pod = ObjectRef {
            namespace: "shop".into(),
            name: "db-0".into(),
        };
        let base = "/apis/allowlists.sidewall.dev/v1alpha1/namespaces/shop/allowlists?watch=true\
                    &fieldSelector=metadata.name%3Ddb-0&allowWatchBookmarks=true";
        assert_eq!(list(&pod, None), format!("{base}&slices=true"));
        let from = list(&pod, Some("42"));
        assert_eq!(from, format!("{base}&slices=true&resourceVersion=42"));
        assert_eq!(list(&pod, Some("4&peer=")), format!("{base}&slices=true"));
        let peer = peer(&pod, "fd00::1".parse().expect("an address"));
        assert_eq!(peer, format!("{base}&peer=fd00::1"));
        assert!(peer.parse::<http::Uri>().is_ok());
    }
}
