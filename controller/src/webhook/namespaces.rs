//! What namespaces say of injection: from a watch, and asked once more before a "no".
//!
//! The API server calls the webhook by its own, newer knowledge of a namespace's labels. A watch
//! that lags behind would leave a pod open, so a "no" is only given after a look at the API server
//! itself; a "yes" that is too old merely guards a pod that need not be.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use crate::inject::consent::{Answers, INJECT};
use crate::why::why;

type Meta = PartialObjectMeta<Namespace>;

/// The namespaces of the cluster.
#[derive(Clone)]
pub struct Namespaces {
    store: Store<Meta>,
    api: Api<Namespace>,
}

impl Namespaces {
    /// The namespaces, and the watch that keeps them: to be polled for as long as they are used.
    pub fn watch(client: Client) -> (Self, impl Future<Output = ()>) {
        let api: Api<Meta> = Api::all(client.clone());
        let (store, writer) = reflector::store();
        let changes = watcher(api, watcher::Config::default())
            .default_backoff()
            .modify(|namespace| namespace.managed_fields_mut().clear())
            .reflect(writer);
        let watching = changes.for_each(|change| {
            if let Err(error) = change {
                tracing::warn!(error = why(&error), "watching namespaces");
            }
            std::future::ready(())
        });
        let api = Api::all(client);
        (Self { store, api }, watching)
    }

    /// Whether the first list is complete.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let ready = futures::FutureExt::now_or_never(self.store.wait_until_ready());
        matches!(ready, Some(Ok(())))
    }

    /// What the watch knows. Nothing known is nothing said.
    #[must_use]
    pub fn known(&self, name: &str) -> Answers {
        let namespace = self.store.get(&ObjectRef::new(name));
        namespace.map_or_else(Answers::default, |namespace| answers(&namespace))
    }

    /// What the API server says now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(&self, name: &str) -> Result<Answers, kube::Error> {
        Ok(answers(&self.api.get_metadata(name).await?))
    }
}

fn answers(namespace: &Meta) -> Answers {
    Answers {
        label: namespace.labels().get(INJECT).cloned(),
        annotation: namespace.annotations().get(INJECT).cloned(),
    }
}
