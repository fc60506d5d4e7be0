//! An object as the core knows it, with the two things beside it that somebody asks for; and the
//! reflectors that bring all of them.

use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, Resource};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use serde::de::DeserializeOwned;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::convert::AnyPolicy;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::kind::Kind;
use crate::labels::SharedLabels;
use crate::reflector::{Message, Patience, Reflector};
use crate::slim::{
    MODE_ANNOTATION, SlimEndpointSlice, SlimNamespace, SlimNode, SlimPod, SlimPolicy, SlimService,
};

/// An object, and what is told beside it.
#[derive(Debug)]
pub struct Item {
    /// The object.
    pub object: Object,
    /// The mode that its annotation asks for (pods and namespaces).
    pub mode: Option<String>,
    /// Its UID (pods), which tokens name.
    pub uid: Option<String>,
}

/// Where objects come from and where they go.
pub struct Source {
    /// The API server.
    pub client: Client,
    /// Whoever owns what is known.
    pub events: mpsc::Sender<Message<Item>>,
    /// How patient it is.
    pub patience: Patience,
    /// Objects in one page of a list.
    pub page: u32,
}

impl Source {
    /// Follows a kind, in one namespace or in all, until nobody listens any more. Nodes have no
    /// namespace, and namespaces have none.
    pub fn follow(&self, kind: Kind, namespace: Option<&str>, tasks: &mut JoinSet<()>) {
        match kind {
            Kind::NetworkPolicies => {
                self.spawn(kind, namespace, self.api(namespace), policy, tasks);
            }
            Kind::Namespaces => {
                let convert = |slim: SlimNamespace| item(&Namespace::from(slim));
                self.spawn(kind, None, self.unnamespaced(), convert, tasks);
            }
            Kind::Pods => {
                let mut known = SharedLabels::default();
                let convert = move |slim: SlimPod| {
                    let mut item = item(&Pod::from(slim));
                    if let Object::Pod(pod) = &mut item.object {
                        known.share(&mut pod.labels);
                    }
                    item
                };
                self.spawn(kind, namespace, self.api(namespace), convert, tasks);
            }
            Kind::Services => {
                let convert = |slim: SlimService| item(&Service::from(slim));
                self.spawn(kind, namespace, self.api(namespace), convert, tasks);
            }
            Kind::EndpointSlices => {
                let convert = |slim: SlimEndpointSlice| item(&EndpointSlice::from(slim));
                self.spawn(kind, namespace, self.api(namespace), convert, tasks);
            }
            Kind::Nodes => {
                let convert = |slim: SlimNode| item(&Node::from(slim));
                self.spawn(kind, None, self.unnamespaced(), convert, tasks);
            }
        }
    }

    fn api<K>(&self, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn unnamespaced<K>(&self) -> Api<K>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>,
    {
        Api::all(self.client.clone())
    }

    fn spawn<K>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        api: Api<K>,
        convert: impl FnMut(K) -> Item + Send + Sync + 'static,
        tasks: &mut JoinSet<()>,
    ) where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
        K: Send + Sync + 'static,
    {
        let reflector = Reflector {
            api,
            kind,
            namespace: namespace.map(str::to_owned),
            convert: Box::new(convert),
            events: self.events.clone(),
            patience: self.patience,
            page: self.page,
        };
        tasks.spawn(reflector.run());
    }
}

/// An object for the index, with the mode that its annotation asks for.
fn item<K>(object: &K) -> Item
where
    K: Metadata<Ty = ObjectMeta>,
    for<'a> Object: From<&'a K>,
{
    let metadata = object.metadata();
    let annotations = metadata.annotations.as_ref();
    Item {
        object: Object::from(object),
        mode: annotations.and_then(|all| all.get(MODE_ANNOTATION).cloned()),
        uid: metadata.uid.clone(),
    }
}

/// A policy goes to the core as the server sent it, so that one which the typed form would refuse
/// or shorten still isolates.
fn policy(slim: SlimPolicy) -> Item {
    let whole = serde_json::json!({"metadata": slim.metadata, "spec": slim.spec});
    Item {
        object: Object::from(AnyPolicy::from_value(&whole)),
        mode: None,
        uid: None,
    }
}
