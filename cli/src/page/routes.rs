//! `/api/v1`, as docs/page.md describes it. Handlers read the request and answer; what they answer is
//! computed in `view`, `answers` and `stream`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use sidewall::net::Protocol;
use sidewall::policy::allow_list::ObjectRef;
use tokio::sync::watch;

use super::answers;
use super::hub::Hub;
use super::world::{Actions, Attempt, Mode, Snapshot};
use super::{assets, guard, stream, view};
use crate::observe::flags::FilterFlags;
use crate::story::Story;

/// What every handler has.
#[derive(Clone)]
pub(super) struct App(Arc<Inner>);

struct Inner {
    about: About,
    hub: Hub,
    address: SocketAddr,
    token: String,
}

/// What the page is about.
pub(super) struct About {
    pub(super) mode: Mode,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(super) actions: Option<Arc<dyn Actions>>,
    pub(super) story: Option<Arc<Story>>,
    pub(super) flags: String,
}

impl App {
    pub(super) fn new(hub: Hub, address: SocketAddr, about: About) -> Self {
        Self(Arc::new(Inner {
            about,
            hub,
            address,
            token: guard::token(),
        }))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(super) fn token(&self) -> &str {
        &self.0.token
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.about.snapshot.borrow())
    }

    fn actions(&self) -> Result<&dyn Actions, Refusal> {
        let refusal = || {
            Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "only the demo's cluster can be changed from the page",
            )
        };
        self.0.about.actions.as_deref().ok_or_else(refusal)
    }
}

/// A refusal, with every mistake of a manifest.
struct Refusal {
    status: StatusCode,
    error: String,
    mistakes: Vec<Value>,
}

type Answer<T = Json<Value>> = Result<T, Refusal>;

/// All routes, behind the guard.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route(
            "/",
            get(async |State(app): State<App>| assets::index(app.token())),
        )
        .route("/api/v1/state", get(state))
        .route("/api/v1/events", get(events))
        .route("/api/v1/flows", get(flows))
        .route("/api/v1/why", get(why))
        .route("/api/v1/policies", get(policies).post(apply))
        .route("/api/v1/policies:preview", post(preview))
        .route("/api/v1/policies/{namespace}/{name}", delete(remove))
        .route("/api/v1/reset", post(reset))
        .route("/api/v1/probe", post(probe))
        .route("/api/v1/tour", post(tour))
        .fallback(async |OriginalUri(uri): OriginalUri| assets::file(uri.path()))
        .layer(from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}

async fn state(State(app): State<App>) -> Answer<Response> {
    let snapshot = app.snapshot();
    let story = app.0.about.story.as_deref();
    let played = app
        .0
        .about
        .actions
        .as_ref()
        .map_or(0, |actions| actions.played());
    let state = view::state(
        app.0.about.mode,
        &snapshot,
        &app.0.hub,
        story.map(|story| (story, played)),
        app.0.about.actions.is_some(),
    );
    Ok(Json(state).into_response())
}

#[derive(Deserialize)]
struct EventsQuery {
    #[serde(default)]
    filter: String,
}

async fn events(State(app): State<App>, Query(query): Query<EventsQuery>) -> Answer<Response> {
    let filter = FilterFlags::read(&query.filter).map_err(Refusal::bad)?;
    Ok(stream::open(&app.0.hub, filter, app.snapshot().version).into_response())
}

#[derive(Deserialize)]
struct FlowsQuery {
    #[serde(default)]
    filter: String,
    /// The newest so many; all that are kept otherwise.
    last: Option<usize>,
}

/// Kept lines as the sidecars wrote them, oldest first.
async fn flows(State(app): State<App>, Query(query): Query<FlowsQuery>) -> Answer<Response> {
    let filter = FilterFlags::read(&query.filter).map_err(Refusal::bad)?;
    let rows = app.0.hub.rows();
    let passing: Vec<_> = rows
        .iter()
        .filter(|row| filter.matches(&row.entry.line))
        .collect();
    let from = passing
        .len()
        .saturating_sub(query.last.unwrap_or(usize::MAX));
    let lines: Vec<&str> = passing[from..]
        .iter()
        .map(|row| row.entry.text.as_str())
        .collect();
    let body = format!("[{}]\n", lines.join(",\n"));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

#[derive(Deserialize)]
struct WhyQuery {
    from: String,
    to: String,
    protocol: Protocol,
    #[serde(default)]
    port: u16,
}

async fn why(State(app): State<App>, Query(query): Query<WhyQuery>) -> Answer<Response> {
    let snapshot = app.snapshot();
    let ends = (query.from.as_str(), query.to.as_str());
    let answer = answers::why(
        &snapshot.cluster,
        &app.0.about.flags,
        ends,
        query.protocol,
        query.port,
    );
    Ok(Json(answer.map_err(Refusal::bad)?).into_response())
}

/// The policies as YAML, by `namespace/name`.
async fn policies(State(app): State<App>) -> Json<Value> {
    let snapshot = app.snapshot();
    let texts = snapshot.policies.iter();
    Json(
        texts
            .map(|(id, policy)| (id.to_string(), Value::from(policy.yaml.as_str())))
            .collect(),
    )
}

#[derive(Deserialize)]
struct Manifest {
    yaml: String,
}

async fn preview(State(app): State<App>, Json(manifest): Json<Manifest>) -> Answer<Response> {
    let policies = checked(&manifest.yaml)?;
    let snapshot = app.snapshot();
    Ok(Json(answers::preview(&snapshot, &policies)).into_response())
}

async fn apply(State(app): State<App>, Json(manifest): Json<Manifest>) -> Answer {
    checked(&manifest.yaml)?;
    app.actions()?
        .apply(manifest.yaml)
        .await
        .map_err(Refusal::failed)?;
    Ok(Json(Value::Null))
}

async fn remove(State(app): State<App>, Path((namespace, name)): Path<(String, String)>) -> Answer {
    let policy = ObjectRef { namespace, name };
    app.actions()?
        .remove(policy)
        .await
        .map_err(Refusal::failed)?;
    Ok(Json(Value::Null))
}

async fn reset(State(app): State<App>) -> Answer {
    app.actions()?.reset().await.map_err(Refusal::failed)?;
    app.0.hub.forget();
    Ok(Json(Value::Null))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ProbeBody {
    Connect {
        from: String,
        to: String,
        protocol: Protocol,
        port: u16,
    },
    Resolve {
        from: String,
        resolve: String,
    },
}

async fn probe(State(app): State<App>, Json(body): Json<ProbeBody>) -> Answer<Response> {
    let (from, attempt) = match body {
        ProbeBody::Connect {
            from,
            to,
            protocol,
            port,
        } => (from, Attempt::Connect { to, protocol, port }),
        ProbeBody::Resolve { from, resolve } => (from, Attempt::Resolve { name: resolve }),
    };
    let tried = app
        .actions()?
        .attempt(from, attempt)
        .await
        .map_err(Refusal::failed)?;
    Ok(Json(tried).into_response())
}

#[derive(Deserialize)]
struct TourBody {
    /// From 0.
    step: usize,
}

async fn tour(State(app): State<App>, Json(body): Json<TourBody>) -> Answer<Response> {
    let tried = app
        .actions()?
        .step(body.step)
        .await
        .map_err(Refusal::failed)?;
    Ok(Json(tried).into_response())
}

/// Policies, all of them understood; or every mistake.
fn checked(yaml: &str) -> Result<Vec<sidewall::manifest::Manifest>, Refusal> {
    let read = sidewall::manifest::read("editor", yaml);
    let mut mistakes: Vec<Value> = read
        .mistakes
        .iter()
        .map(|mistake| json!({"line": mistake.line, "field": mistake.field, "problem": mistake.problem}))
        .collect();
    let policy = sidewall::policy::cluster::Kind::NetworkPolicy;
    for manifest in read
        .objects
        .iter()
        .filter(|manifest| manifest.kind() != policy)
    {
        let problem = "only NetworkPolicies are taken here";
        mistakes.push(json!({"line": manifest.line, "field": "kind", "problem": problem}));
    }
    for ignored in &read.ignored {
        let problem = format!(
            "only NetworkPolicies are taken here, not a {}",
            ignored.kind
        );
        mistakes.push(json!({"line": ignored.line, "field": "kind", "problem": problem}));
    }
    if !mistakes.is_empty() {
        return Err(Refusal {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            error: "the manifest has mistakes".to_owned(),
            mistakes,
        });
    }
    if read.objects.is_empty() {
        return Err(Refusal::bad("there is no policy in it".to_owned()));
    }
    Ok(read.objects)
}

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            mistakes: Vec::new(),
        }
    }

    fn bad(error: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    fn failed(why: anyhow::Error) -> Self {
        Self::new(StatusCode::CONFLICT, format!("{why:#}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "mistakes": self.mistakes});
        (
            self.status,
            [(header::CONTENT_TYPE, "application/json")],
            body.to_string(),
        )
            .into_response()
    }
}
