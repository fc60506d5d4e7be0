//! Who may read what, beyond what the API server's own RBAC has already said of the request.
//!
//! That RBAC sees a verb on a resource in a namespace: `watch` on `allowlists` is what every sidecar
//! needs, and it would open every list of the namespace to each of its pods. So a pod's token opens
//! that pod's list without further questions, and for everything else the API server is asked whether
//! the user may `list` there: which sidecars may not.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use moka::future::Cache;
use sidewall::policy::allow_list::ObjectRef;

use super::refusal::Refusal;
use super::user::User;
use crate::lists::state::State;
use crate::lists::{GROUP, VERSION, metrics};
use crate::why::why;

/// For how long an answer holds, as apiserver's delegated authorization has it (`10 s`).
const HOLDS: Duration = Duration::from_secs(10);
/// Answers that are kept.
const MOST: u64 = 10_000;

/// The kinds that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `allowlists`.
    AllowLists,
    /// `peerslices`.
    PeerSlices,
}

/// What somebody wants to read: all of a kind, a namespace's, or one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The kind.
    pub resource: Resource,
    /// The namespace; `None`: all.
    pub namespace: Option<String>,
    /// The one; `None`: all.
    pub name: Option<String>,
}

/// How somebody came to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// It is the list of the pod whose token was shown, with this UID: it ends with the pod.
    Own {
        /// The UID.
        uid: String,
    },
    /// By RBAC.
    Rbac,
}

/// Asks the API server, and remembers for seconds.
#[derive(Clone)]
pub struct Access {
    client: Client,
    answers: Cache<(User, Wanted), bool>,
}

impl Resource {
    /// The plural, as in a URL and in an RBAC rule.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::AllowLists => "allowlists",
            Self::PeerSlices => "peerslices",
        }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::AllowLists => "AllowList",
            Self::PeerSlices => "PeerSlice",
        }
    }
}

impl Wanted {
    /// The pod whose list alone is wanted.
    #[must_use]
    pub fn pod(&self) -> Option<ObjectRef> {
        let (Resource::AllowLists, Some(namespace), Some(name)) =
            (self.resource, &self.namespace, &self.name)
        else {
            return None;
        };
        Some(ObjectRef {
            namespace: namespace.clone(),
            name: name.clone(),
        })
    }
}

impl Grant {
    /// Whether it still holds: a pod's does not outlive the pod.
    ///
    /// # Errors
    /// 403 when another pod has its name now.
    pub fn still_holds(&self, state: &State, pod: &ObjectRef) -> Result<(), Refusal> {
        match (self, state.uids.get(pod)) {
            (Self::Own { uid }, Some(now)) if *uid != **now => Err(Refusal::forbidden(format!(
                "pod {}/{} is another one now, and the token is of the one before it",
                pod.namespace, pod.name
            ))),
            _ => Ok(()),
        }
    }
}

impl Access {
    /// Asks by this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let answers = Cache::builder().max_capacity(MOST).time_to_live(HOLDS);
        Self {
            client,
            answers: answers.build(),
        }
    }

    /// Lets a user read, `known` being the UID of the wanted pod, if it is there.
    ///
    /// # Errors
    /// 403 with what is missing; 503 when the API server does not say.
    pub async fn allow(
        &self,
        user: &User,
        wanted: &Wanted,
        known: Option<&str>,
    ) -> Result<Grant, Refusal> {
        let own = user.own_pod();
        if let Some(own) = own.filter(|own| wanted.pod().as_ref() == Some(&own.pod)) {
            // A pod that is not known yet: the API server, which is ahead, knows its token's pod.
            if known.is_none_or(|uid| uid == own.uid) {
                return Ok(Grant::Own { uid: own.uid });
            }
        }
        let asked = self
            .answers
            .try_get_with((user.clone(), wanted.clone()), self.ask(user, wanted));
        match asked.await {
            Ok(true) => Ok(Grant::Rbac),
            Ok(false) => Err(refused(user, wanted)),
            Err(error) => Err(Refusal::unavailable(format!(
                "cannot tell whether {:?} may list {}: {error}",
                user.name,
                wanted.resource.plural()
            ))),
        }
    }

    async fn ask(&self, user: &User, wanted: &Wanted) -> Result<bool, String> {
        let extra: BTreeMap<_, _> = user.extra.clone();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.name.clone()),
                uid: user.uid.clone(),
                groups: Some(user.groups.clone()),
                extra: Some(extra),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(GROUP.to_owned()),
                    version: Some(VERSION.to_owned()),
                    resource: Some(wanted.resource.plural().to_owned()),
                    verb: Some("list".to_owned()),
                    namespace: wanted.namespace.clone(),
                    name: wanted.name.clone(),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let status = answer
            .map_err(|error| why(&error))
            .map(|review| review.status);
        let allowed = status.map(|status| status.is_some_and(|status| status.allowed));
        metrics::reviewed_access(allowed.as_ref().ok().copied());
        allowed
    }
}

fn refused(user: &User, wanted: &Wanted) -> Refusal {
    let plural = wanted.resource.plural();
    let place = match &wanted.namespace {
        Some(namespace) => format!(" in the namespace {namespace:?}"),
        None => " at the cluster scope".to_owned(),
    };
    let name = wanted.name.as_ref().map(|name| format!(" {name:?}"));
    let own = match user.own_pod() {
        Some(own) => format!(
            "its token is pod {}/{}'s, which opens that pod's list alone",
            own.pod.namespace, own.pod.name
        ),
        None => "its token is bound to no pod".to_owned(),
    };
    Refusal::forbidden(format!(
        "{plural}.{GROUP}{} is forbidden: User {:?} cannot list resource {plural:?} in API group {GROUP:?}{place}: \
         {own}, and for anything else a rule {{apiGroups: [{GROUP}], resources: [{plural}], verbs: [list]}} is needed",
        name.unwrap_or_default(),
        user.name,
    ))
}
