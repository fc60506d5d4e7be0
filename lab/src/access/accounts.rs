//! A pod's own way to a real API server: a token of its service account, as a kubelet asks for it,
//! in a kubeconfig.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod as PodObject, ServiceAccount};
use kube::api::PostParams;
use kube::config::AuthInfo;
use kube::{Api, Client, ResourceExt as _};

use super::kubeconfig::Access;

/// As kubelet asks for a pod's token: an hour, and the 7 seconds by which such tokens are told apart
/// from others (admission/serviceaccount).
const TOKEN_SECONDS: i64 = 3607;

/// Writes a kubeconfig like `access`, but with a token of the pod's service account.
pub(crate) async fn kubeconfig(
    client: &Client,
    access: &Access,
    object: &PodObject,
    folder: &Path,
) -> Result<PathBuf> {
    let namespace = object.namespace().unwrap_or_default();
    let spec = object.spec.as_ref();
    let account = spec.and_then(|spec| spec.service_account_name.as_deref());
    let account = account.unwrap_or("default");
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(object.name_any()),
                uid: object.uid(),
            }),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let answer = accounts.create_token_request(account, &params, &request);
    let answer = answer.await;
    let answer = answer.with_context(|| format!("a token of {namespace}/{account}"))?;
    let token = answer.status.context("the answer has no token")?.token;
    let path = folder.join(format!(
        "kubeconfig-of-{}",
        object.uid().unwrap_or_default()
    ));
    let auth = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    access.as_user(&auth).write(&path)?;
    Ok(path)
}
