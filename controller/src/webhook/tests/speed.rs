//! How long a review takes while others are under way.

use hyper_util::rt::TokioExecutor;

use super::*;

/// Requests at once as an API server during a rollout, ten thousand in all; the goal is 20 ms at the
/// 99th percentile, and a debug build on a busy machine must still be far from the ten seconds of
/// patience.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pods_at_once() {
    let each = 2_500;
    let setting = Arc::new(Setting::new().await);
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop", "operation": "CREATE", "userInfo": {}, "object": pod(),
        },
    })
    .to_string();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(setting.made.authority.as_bytes()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(setting.address).await.unwrap();
    // As Go does for every connection.
    stream.set_nodelay(true).unwrap();
    let stream = connector
        .connect(ServerName::try_from(NAME).unwrap(), stream)
        .await
        .unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let workers = (0..4).map(|_| {
        let (mut sender, review) = (sender.clone(), review.clone());
        tokio::spawn(async move {
            let mut took = Vec::with_capacity(each);
            for _ in 0..each {
                let request = Request::post(format!("https://{NAME}/mutate"))
                    .header("content-type", "application/json")
                    .body(Full::new(bytes::Bytes::from(review.clone())))
                    .unwrap();
                let started = std::time::Instant::now();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                let body = response.into_body().collect().await.unwrap().to_bytes();
                took.push(started.elapsed());
                assert!(body.len() > 1000);
            }
            took
        })
    });
    let mut took: Vec<Duration> = futures::future::join_all(workers)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{} mutations: p50 {:?}, p99 {:?}, max {:?}",
        took.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(at(0.99) < Duration::from_secs(1), "p99 {:?}", at(0.99));
}
