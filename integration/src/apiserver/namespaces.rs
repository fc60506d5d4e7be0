//! What kube-controller-manager does for namespaces, as far as tests need it: each gets its service
//! account `default`, without which no pod is admitted, and one that is deleted is emptied and let go.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

/// Does so for as long as it is polled.
pub(super) async fn keep(client: Client) {
    let all: Api<Namespace> = Api::all(client.clone());
    let changes = watcher(all, watcher::Config::default());
    let changes = changes.default_backoff().applied_objects();
    changes
        .for_each_concurrent(None, |change| async {
            let Ok(namespace) = change else { return };
            let name = namespace.name_any();
            let done = if namespace.metadata.deletion_timestamp.is_some() {
                let_go(&client, namespace).await
            } else {
                account(&client, &name).await
            };
            if let Err(error) = done {
                tracing::warn!(name, %error, "the namespace's part of kube-controller-manager");
            }
        })
        .await;
}

async fn account(client: &Client, namespace: &str) -> kube::Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let mut account = ServiceAccount::default();
    account.metadata.name = Some("default".to_owned());
    match accounts.create(&PostParams::default(), &account).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        made => made.map(drop),
    }
}

/// Empties it of the kinds that tests make, and takes the finalizer away that keeps it.
async fn let_go(client: &Client, mut namespace: Namespace) -> kube::Result<()> {
    let name = namespace.name_any();
    let (now, all) = (
        DeleteParams::default().grace_period(0),
        ListParams::default(),
    );
    macro_rules! empty {
        ($($kind:ty),+) => {$(
            let api: Api<$kind> = Api::namespaced(client.clone(), &name);
            api.delete_collection(&now, &all).await?;
        )+};
    }
    empty!(Pod, NetworkPolicy, Service, EndpointSlice, ServiceAccount);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespace.spec = serde_json::from_value(json!({"finalizers": []})).ok();
    let params = PostParams::default();
    let finalized = namespaces.replace_subresource("finalize", &name, &params, &namespace);
    finalized.await.map(drop)
}
