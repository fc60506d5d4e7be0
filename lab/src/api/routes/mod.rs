//! Requests: who asks, what for, may they, is a fault planned; then the handler that answers.
//!
//! The API's paths are one grammar (`request`), so there is one handler for all of them and not a
//! route per kind.

mod answer;
mod log;
mod read;
mod review;
mod watch;
mod write;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method};

use self::answer::{error, json_body, text};
use super::auth::{Ask, Credentials, User};
use super::errors::ApiError;
use super::faults::Faults;
use super::request::{Query, Target};
use super::serve::Peer;
use super::store::Store;
use super::{discovery, openapi};
use crate::flows::Flows;

/// etcd's limit for a request is 1.5 MiB; the API server accepts twice that.
const BODY_MAX: usize = 3 * 1024 * 1024;

/// What every request can reach.
#[derive(Debug)]
pub(crate) struct Shared {
    pub store: Arc<Store>,
    pub faults: Arc<Faults>,
    pub credentials: Arc<Credentials>,
    pub bookmark_every: Duration,
    pub watch_list: bool,
    /// What the sidecars logged.
    pub logs: OnceLock<Flows>,
}

/// A request, read.
pub(crate) struct Call {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub user: User,
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let answered = match call(&shared, request).await {
        Ok(call) => route(&shared, call).await,
        Err(e) => Err(e),
    };
    answered.unwrap_or_else(|e| error(&e))
}

async fn call(shared: &Shared, request: Request<Body>) -> Result<Call, ApiError> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_default();
    let user = shared
        .credentials
        .who(&parts.headers, peer.certificate.as_deref(), peer.tls)?;
    let body = axum::body::to_bytes(body, BODY_MAX).await.map_err(|_| {
        ApiError::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {BODY_MAX}"),
        )
    })?;
    Ok(Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: Query::parse(parts.uri.query()),
        headers: parts.headers,
        body,
        user,
    })
}

async fn route(shared: &Arc<Shared>, call: Call) -> Result<Response, ApiError> {
    tracing::debug!(method = %call.method, path = call.path, user = call.user.name, "API request");
    if let Some(target) = Target::parse(&call.method, &call.path, &call.query) {
        return resource(shared, call, target).await;
    }
    if call.method == Method::POST
        && let Some(answer) = review::answer(shared, &call)?
    {
        return Ok(answer);
    }
    if call.method != Method::GET && call.method != Method::HEAD {
        return Err(ApiError::no_such_resource());
    }
    fixed(&call)
}

/// A stored kind: faults first, then permission, then the verb.
async fn resource(shared: &Arc<Shared>, call: Call, target: Target) -> Result<Response, ApiError> {
    let kind = target.kind;
    if let Some(fault) = shared.faults.meet(kind.plural, target.verb) {
        fault.play(|| call.user.refusal(kind, &target)).await?;
    }
    if !call.user.may(&Ask::of(&target)) {
        return Err(call.user.refusal(kind, &target));
    }
    match (target.subresource.as_deref(), target.verb) {
        (Some("status"), "get" | "update" | "patch") if kind.status => {}
        (Some("log"), "get") if kind.plural == "pods" => return log::log(shared, &call, &target),
        (Some("exec" | "attach" | "portforward"), _) if kind.plural == "pods" => {
            return Err(ApiError::new(
                501,
                "NotImplemented",
                "the lab's pods are network namespaces, not containers: there is nothing to exec or forward",
            ));
        }
        (Some(_), _) => return Err(ApiError::no_such_resource()),
        (None, _) => {}
    }
    match target.verb {
        "get" => read::get(shared, &call, &target),
        "list" => read::list(shared, &call, &target),
        "watch" => watch::watch(shared, &call, &target),
        "create" => write::create(shared, &call, &target),
        "update" => write::update(shared, &call, &target),
        "patch" => write::patch(shared, &call, &target),
        "delete" => write::delete(shared, &call, &target),
        _ => write::delete_collection(shared, &call, &target),
    }
}

/// Discovery, schema, health: the same for everybody.
fn fixed(call: &Call) -> Result<Response, ApiError> {
    let path = call.path.trim_matches('/');
    let accept = call
        .headers
        .get(ACCEPT)
        .and_then(|a| a.to_str().ok())
        .unwrap_or_default();
    let aggregated = accept.contains("as=APIGroupDiscoveryList") && accept.contains("v=v2;");
    let aggregated = aggregated || accept.contains("v=v2,") || accept.ends_with("v=v2");
    let found = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["api" | "apis"] if aggregated => {
            return Ok(answer::discovery(&discovery::aggregated(path == "api")));
        }
        ["version"] => Some(discovery::version()),
        ["api"] => Some(discovery::core_versions()),
        ["api", "v1"] => discovery::resources(""),
        ["apis"] => Some(discovery::groups()),
        ["apis", group] => discovery::group(group),
        ["apis", group, "v1"] if !group.is_empty() => discovery::resources(group),
        ["openapi", "v3"] => Some(openapi::index()),
        ["openapi", "v3", rest @ ..] => openapi::document(&rest.join("/")),
        ["healthz" | "livez" | "readyz", ..] => return Ok(text("ok")),
        _ => None,
    };
    found
        .map(|value| json_body(200, &value))
        .ok_or_else(ApiError::no_such_resource)
}

impl Call {
    pub(crate) fn content_type(&self) -> &str {
        let header = self.headers.get(CONTENT_TYPE).and_then(|h| h.to_str().ok());
        header
            .and_then(|h| h.split(';').next())
            .unwrap_or_default()
            .trim()
    }

    /// Who writes: `fieldManager`, or the program that the User-Agent begins with.
    pub(crate) fn manager(&self) -> &str {
        let agent = self.headers.get(USER_AGENT).and_then(|h| h.to_str().ok());
        self.query
            .get("fieldManager")
            .or_else(|| agent.and_then(|a| a.split('/').next()))
            .unwrap_or("unknown")
    }
}
