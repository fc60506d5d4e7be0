//! The API over HTTP: who asks, whether they may, and what they get.
//!
//! ```text
//! TLS ─► front_proxy (is it the API server?) ─► user (for whom?) ─► access (may they?)
//!          └─► read     get, list        ─┐
//!          └─► people   watch             ├─► found, form, table ─► object
//!          └─► sidecar  one pod's stream ─┘
//!          └─► peer     who has an address
//!          └─► discovery, openapi
//! ```

pub mod access;
pub mod discovery;
pub mod form;
pub mod found;
pub mod front_proxy;
pub mod lines;
pub mod object;
pub mod openapi;
pub mod peer;
pub mod people;
pub mod query;
pub mod read;
pub mod refusal;
pub mod selector;
pub mod sidecar;
pub mod table;
pub mod user;

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, Path, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;

use self::access::{Access, Grant, Resource, Wanted};
use self::form::Form;
use self::found::Shape;
use self::front_proxy::{FrontProxy, Peer};
use self::people::Watch;
use self::query::Query;
use self::refusal::Refusal;
use self::sidecar::Stream;
use self::user::User;
use super::metrics::Sort;
use super::state::Lists;
use super::{GROUP, VERSION};

/// What a request is answered with.
pub struct Api {
    /// The lists.
    pub lists: Arc<Lists>,
    /// Who may ask for others.
    pub front_proxy: Arc<FrontProxy>,
    /// Who may read what.
    pub access: Access,
    /// How often addresses may be asked for.
    pub limits: peer::Limits,
}

/// All routes.
pub fn router(api: Arc<Api>) -> Router {
    let base = format!("/apis/{GROUP}/{VERSION}");
    Router::new()
        .route("/healthz", get(async |_: User| "ok"))
        .route(
            "/apis",
            get(async |_: User, headers: HeaderMap| discovery::groups(&headers)),
        )
        .route(
            &format!("/apis/{GROUP}"),
            get(async |_: User| discovery::group()),
        )
        .route(&base, get(async |_: User| discovery::resources()))
        .route("/openapi/v2", get(async |_: User| openapi::v2()))
        .route("/openapi/v3", get(async |_: User| openapi::index()))
        .route(
            &format!("/openapi/v3{base}"),
            get(async |_: User| openapi::v3()),
        )
        .route(&format!("{base}/allowlists"), get(all_lists))
        .route(
            &format!("{base}/namespaces/{{namespace}}/allowlists"),
            get(lists),
        )
        .route(
            &format!("{base}/namespaces/{{namespace}}/allowlists/{{name}}"),
            get(list),
        )
        .route(&format!("{base}/peerslices"), get(all_slices))
        .route(&format!("{base}/peerslices/{{name}}"), get(slice))
        .method_not_allowed_fallback(async |_: User| Refusal::method_not_allowed())
        .fallback(async |_: User| {
            Refusal::not_found("the server could not find the requested resource")
        })
        .with_state(api)
}

/// The user for whom the API server asks; everything asks for one, so nothing is said to others.
impl FromRequestParts<Arc<Api>> for User {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let peer = peer.map(|ConnectInfo(peer)| peer.clone());
        api.front_proxy
            .user(&peer.unwrap_or_default(), &parts.headers)
    }
}

async fn all_lists(
    State(api): State<Arc<Api>>,
    user: User,
    query: Query,
    form: Form,
) -> Result<Response, Refusal> {
    collection(api, user, Resource::AllowLists, None, query, form).await
}

async fn lists(
    State(api): State<Arc<Api>>,
    Path(namespace): Path<String>,
    user: User,
    query: Query,
    form: Form,
) -> Result<Response, Refusal> {
    collection(
        api,
        user,
        Resource::AllowLists,
        Some(namespace),
        query,
        form,
    )
    .await
}

async fn all_slices(
    State(api): State<Arc<Api>>,
    user: User,
    query: Query,
    form: Form,
) -> Result<Response, Refusal> {
    collection(api, user, Resource::PeerSlices, None, query, form).await
}

async fn list(
    State(api): State<Arc<Api>>,
    Path((namespace, name)): Path<(String, String)>,
    user: User,
    query: Query,
    form: Form,
) -> Result<Response, Refusal> {
    single(
        &api,
        &user,
        Resource::AllowLists,
        Some(namespace),
        name,
        &query,
        form,
    )
    .await
}

async fn slice(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    user: User,
    query: Query,
    form: Form,
) -> Result<Response, Refusal> {
    single(&api, &user, Resource::PeerSlices, None, name, &query, form).await
}

/// `list` and `watch`, and what goes by the same path.
async fn collection(
    api: Arc<Api>,
    user: User,
    resource: Resource,
    namespace: Option<String>,
    query: Query,
    form: Form,
) -> Result<Response, Refusal> {
    let wanted = Wanted {
        resource,
        namespace,
        name: query.selector.name().map(str::to_owned),
    };
    let grant = api.allow(&user, &wanted).await?;
    let shape = Shape {
        resource,
        form,
        include: query.include,
        begun: false,
    };
    let lists = Arc::clone(&api.lists);
    if !query.watch {
        if query.slices || query.peer.is_some() {
            return Err(Refusal::bad_request(
                "slices and peer: only with watch=true",
            ));
        }
        return read::list(&lists, &wanted, &query, shape).await;
    }
    // Before the first sync, and while stopping, nothing begins.
    drop(lists.read().await?);
    if let Some(address) = query.peer {
        let pod = one_pod(&wanted)?;
        let who = match grant {
            Grant::Own { .. } => format!("pod {}/{}", pod.namespace, pod.name),
            Grant::Rbac => user.name,
        };
        api.limits.ask(&who)?;
        let state = lists.read().await?;
        return Ok(peer::answer(state.catalogue.cluster(), address));
    }
    if query.slices {
        let pod = one_pod(&wanted)?;
        return match lists.epoch.read(query.version.as_deref()) {
            Ok(since) => {
                let stream = Stream::new(lists, pod, grant, since);
                Ok(lines::response(stream, Sort::Sidecar))
            }
            // As a watch that has begun says it: the receiver has one way to be told.
            Err(expired) if expired.code() == 410 => Ok(lines::last_words(&expired)),
            Err(refusal) => Err(refusal),
        };
    }
    Watch::begin(lists, wanted, grant, query, shape).await
}

fn one_pod(wanted: &Wanted) -> Result<sidewall::policy::allow_list::ObjectRef, Refusal> {
    wanted.pod().ok_or_else(|| {
        Refusal::bad_request(
            "slices and peer: only for allowlists of one namespace with fieldSelector=metadata.name=POD",
        )
    })
}

async fn single(
    api: &Api,
    user: &User,
    resource: Resource,
    namespace: Option<String>,
    name: String,
    query: &Query,
    form: Form,
) -> Result<Response, Refusal> {
    let wanted = Wanted {
        resource,
        namespace,
        name: Some(name),
    };
    api.allow(user, &wanted).await?;
    let shape = Shape {
        resource,
        form,
        include: query.include,
        begun: false,
    };
    read::get(&api.lists, &wanted, &shape).await
}

impl Api {
    async fn allow(&self, user: &User, wanted: &Wanted) -> Result<Grant, Refusal> {
        let uid = match wanted.pod() {
            Some(pod) => self.lists.look().await.uids.get(&pod).cloned(),
            None => None,
        };
        self.access.allow(user, wanted, uid.as_deref()).await
    }
}
