//! What the service accounts of pods with a sidecar may do: what they lack, and what is too much.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};

use super::{AT_ONCE, Facts, Read, attributes, said};
use crate::check::lists::takes_a_list;
use crate::check::rights::{self, Right};
use crate::check::sidecars::{running, sidecar};

/// Rights by `namespace/account`.
type Missing = BTreeMap<String, Vec<Right>>;

/// A service account, and whether a sidecar of it takes a list: there may be both kinds.
type Account = (String, String, bool);

/// What each account lacks, and those that may read all pods without need.
pub(super) async fn rights(client: &Client, facts: &Facts) -> Read<(Missing, Vec<String>)> {
    let pods = facts.pods.as_ref().map_err(Clone::clone)?;
    let accounts: BTreeSet<Account> = pods.iter().filter_map(account).collect();
    let needed = accounts.iter().flat_map(|(namespace, name, takes_a_list)| {
        let rights = rights::of_a_sidecar(namespace, *takes_a_list);
        rights
            .into_iter()
            .map(move |right| (namespace, name, right))
    });
    let mut missing = Missing::new();
    for (account, right, allowed) in ask(client, needed.collect()).await? {
        if !allowed {
            missing.entry(account).or_default().push(right);
        }
    }
    let reads_itself = |(namespace, name, _): &&Account| {
        accounts.contains(&(namespace.clone(), name.clone(), false))
    };
    let lists_only = accounts.iter().filter(|account| !reads_itself(account));
    let questions = lists_only.map(|(namespace, name, _)| (namespace, name, rights::broad()));
    let answers = ask(client, questions.collect()).await?.into_iter();
    let broad = answers.filter_map(|(account, _, allowed)| allowed.then_some(account));
    Ok((missing, broad.collect()))
}

fn account(pod: &Pod) -> Option<Account> {
    let sidecar = sidecar(pod).filter(|_| running(pod))?;
    let spec = pod.spec.as_ref()?;
    let account = spec.service_account_name.as_deref().unwrap_or("default");
    let namespace = pod.namespace().unwrap_or_default();
    Some((namespace, account.to_owned(), takes_a_list(sidecar)))
}

async fn ask(
    client: &Client,
    questions: Vec<(&String, &String, Right)>,
) -> Read<Vec<(String, Right, bool)>> {
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answers = questions.into_iter().map(|(namespace, account, right)| {
        let api = api.clone();
        async move {
            let review = SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    user: Some(format!("system:serviceaccount:{namespace}:{account}")),
                    groups: Some(vec![
                        "system:serviceaccounts".to_owned(),
                        format!("system:serviceaccounts:{namespace}"),
                        "system:authenticated".to_owned(),
                    ]),
                    resource_attributes: Some(attributes(&right)),
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            };
            let account = format!("{namespace}/{account}");
            let answer = api.create(&PostParams::default(), &review).await;
            let review =
                answer.map_err(|error| format!("asking what {account} may: {}", said(&error)))?;
            let allowed = review.status.is_some_and(|status| status.allowed);
            Ok((account, right, allowed))
        }
    });
    stream::iter(answers).buffered(AT_ONCE).try_collect().await
}
