//! Two replicas, an API server, and a certificate that is replaced under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use kube::Api;
use serde_json::{Value, json};

use super::keeper::Keeper;
use super::kept::Kept;
use super::make::{LIFETIME, make};
use super::secret;
use super::served::Served;
use crate::fake_api::FakeApi;
use crate::lease::Candidate;

const SECRET: &str = "/api/v1/namespaces/sidewall/secrets/tls";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/sidewall/leases/lead";
const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/sidewall";

/// As the chart leaves it: an empty Secret, two webhooks that trust nobody.
fn installed() -> FakeApi {
    let api = FakeApi::new();
    let webhook = |name: &str| {
        json!({
            "name": name, "clientConfig": {"service": {"name": "w", "namespace": "sidewall"}},
            "sideEffects": "None", "admissionReviewVersions": ["v1"],
        })
    };
    api.put(
        CONFIGURATION,
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "sidewall"}, "webhooks": [webhook("a"), webhook("b")],
        }),
    );
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "tls"}});
    api.put(SECRET, secret);
    api
}

fn keeper(api: &FakeApi) -> Keeper {
    Keeper {
        client: api.client(),
        namespace: "sidewall".to_owned(),
        secret: "tls".to_owned(),
        configuration: "sidewall".to_owned(),
        api_service: None,
        names: vec!["w.sidewall.svc".to_owned()],
    }
}

fn kept(api: &FakeApi) -> Option<Kept> {
    secret::kept(&serde_json::from_value(api.get(SECRET)?).unwrap())
}

/// What each webhook trusts.
fn bundles(api: &FakeApi) -> Vec<String> {
    let configuration = api.get(CONFIGURATION).unwrap();
    let webhooks = configuration["webhooks"].as_array().unwrap().iter();
    let text = |webhook: &Value| {
        let bundle = webhook["clientConfig"]["caBundle"].clone();
        let bundle: Option<ByteString> = serde_json::from_value(bundle).unwrap();
        bundle.map_or_else(String::new, |bundle| String::from_utf8(bundle.0).unwrap())
    };
    webhooks.map(text).collect()
}

/// A Secret with a certificate of that age.
fn put_aged(api: &FakeApi, days: u64) -> Kept {
    let names = keeper(api).names;
    let then = Timestamp::now() - Duration::from_secs(days * 24 * 3600);
    let old = Kept::new(make(&names, then, LIFETIME).unwrap(), &names, then, None);
    let data: BTreeMap<_, _> = old
        .to_data()
        .into_iter()
        .map(|(k, v)| (k, ByteString(v)))
        .collect();
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}, "data": data});
    api.put(SECRET, secret);
    old
}

#[tokio::test]
async fn the_first_round_fills_the_secret_and_every_webhook_trusts_it() {
    let api = installed();
    keeper(&api).round(Duration::ZERO).await.unwrap();
    let kept = kept(&api).unwrap();
    assert_eq!(bundles(&api), [kept.bundle(), kept.bundle()]);
    let before = (api.get(SECRET), api.get(CONFIGURATION));
    keeper(&api).round(Duration::ZERO).await.unwrap();
    assert_eq!(
        (api.get(SECRET), api.get(CONFIGURATION)),
        before,
        "nothing to do"
    );
}

#[tokio::test]
async fn the_api_service_trusts_it_too_and_again_when_someone_reset_it() {
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.lists";
    let api = installed();
    let service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1alpha1.lists"},
        "spec": {"groupPriorityMinimum": 1000, "versionPriority": 15},
    });
    let keeper = Keeper {
        api_service: Some("v1alpha1.lists".to_owned()),
        ..keeper(&api)
    };
    let missing = keeper.round(Duration::ZERO).await.unwrap_err();
    assert!(
        format!("{missing:#}").contains("APIService v1alpha1.lists"),
        "{missing:#}"
    );
    for _ in 0..2 {
        api.put(path, service.clone());
        keeper.round(Duration::ZERO).await.unwrap();
        let bundle = ByteString(kept(&api).unwrap().bundle().into_bytes());
        assert_eq!(api.get(path).unwrap()["spec"]["caBundle"], json!(bundle));
    }
    assert_eq!(bundles(&api).len(), 2, "webhooks as before");
}

#[tokio::test]
async fn a_bundle_that_someone_reset_is_written_again() {
    let api = installed();
    keeper(&api).round(Duration::ZERO).await.unwrap();
    let mut configuration = api.get(CONFIGURATION).unwrap();
    configuration["webhooks"][1]["clientConfig"]["caBundle"] = json!("");
    api.put(CONFIGURATION, configuration);
    keeper(&api).round(Duration::ZERO).await.unwrap();
    let bundle = kept(&api).unwrap().bundle();
    assert_eq!(bundles(&api), [bundle.clone(), bundle]);
}

#[tokio::test]
async fn both_authorities_are_trusted_before_the_new_certificate_is_there() {
    let api = installed();
    let old = put_aged(&api, 61);
    let round = tokio::spawn({
        let keeper = keeper(&api);
        async move { keeper.round(Duration::from_millis(300)).await }
    });
    let trusts_two = |bundle: &String| bundle.matches("BEGIN CERTIFICATE").count() == 2;
    while !bundles(&api).iter().all(trusts_two) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(
        kept(&api),
        Some(old.clone()),
        "the old one is served meanwhile"
    );
    assert!(bundles(&api)[0].contains(&old.bundle()));
    round.await.unwrap().unwrap();
    let new = kept(&api).unwrap();
    assert_ne!(new.certificate, old.certificate);
    assert_eq!(bundles(&api)[0], new.bundle());
}

#[tokio::test]
async fn what_is_served_stays_trusted_when_someone_empties_the_secret() {
    let api = installed();
    let keeper = keeper(&api);
    keeper.round(Duration::ZERO).await.unwrap();
    let mut served = kept(&api).unwrap();
    // The second time it dies before it writes, and the third round finds what it left.
    for (number, dies) in [(1, false), (2, true), (3, false)] {
        let mut secret = api.get(SECRET).unwrap();
        secret.as_object_mut().unwrap().remove("data");
        api.put(SECRET, secret);
        let patience = Duration::from_secs(if dies { 3600 } else { 0 });
        let round = tokio::time::timeout(Duration::from_millis(200), keeper.round(patience)).await;
        assert_eq!(round.is_err(), dies, "{number}: {round:?}");
        let authority = served.as_before().authority;
        for bundle in bundles(&api) {
            assert!(bundle.contains(&authority), "{number}: {bundle}");
            assert!(
                bundle.matches("BEGIN CERTIFICATE").count() <= 4,
                "{number}: {bundle}"
            );
        }
        served = kept(&api).unwrap_or(served);
    }
}

#[tokio::test]
async fn a_crash_between_trust_and_secret_is_repaired() {
    let api = installed();
    let old = put_aged(&api, 61);
    // It dies while it waits.
    let keeper = keeper(&api);
    let round = keeper.round(Duration::from_secs(3600));
    let died = tokio::time::timeout(Duration::from_millis(200), round).await;
    assert!(died.is_err(), "it ended by itself");
    assert_eq!(kept(&api), Some(old));
    keeper.round(Duration::ZERO).await.unwrap();
    let new = kept(&api).unwrap();
    assert_eq!(bundles(&api), [new.bundle(), new.bundle()]);
}

#[tokio::test]
async fn replicas_follow_the_secret() {
    let api = installed();
    let served: Vec<_> = (0..2).map(|_| Arc::new(Served::default())).collect();
    for served in &served {
        let secrets = Api::namespaced(api.client(), "sidewall");
        let served = Arc::clone(served);
        tokio::spawn(async move { secret::follow(secrets, "tls", served).await });
    }
    // The fake watch tells only what happens after it was opened.
    while api.count(&Method::GET, "/api/v1/namespaces/sidewall/secrets") < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut last = None;
    for _ in 0..2 {
        keeper(&api).round(Duration::ZERO).await.unwrap();
        let all = async {
            while served.iter().any(|served| served.fingerprint() == last) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all)
            .await
            .unwrap();
        last = served[0].fingerprint();
        assert_eq!(last, served[1].fingerprint());
        put_aged(&api, 61);
    }
}

#[tokio::test]
async fn one_leads_and_the_other_takes_over_when_it_is_gone() {
    let api = installed();
    api.put(LEASE, json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lead"}}));
    let leads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let candidate = |name: &'static str| {
        let leases = Api::namespaced(api.client(), "sidewall");
        let candidate = Candidate::new(leases, "lead", name).with_pace(Duration::from_millis(10));
        let leads = Arc::clone(&leads);
        tokio::spawn(candidate.lead(move || {
            leads.lock().unwrap().push(name);
            std::future::pending()
        }))
    };
    let first = candidate("a");
    while leads.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _second = candidate("b");
    // Twice the lease's duration: as long as "a" renews, "b" does not lead.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(*leads.lock().unwrap(), ["a"]);
    first.abort();
    let taken = async {
        while leads.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken)
        .await
        .unwrap();
    assert_eq!(*leads.lock().unwrap(), ["a", "b"]);
    let lease = api.get(LEASE).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "b");
    assert_eq!(lease["spec"]["leaseTransitions"], 2);
}
