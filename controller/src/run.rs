//! The process: what runs beside each other, and how it ends.
//!
//! All parts run until the process is told to stop; one that ends by itself takes the process with
//! it, and the Deployment starts another.

use std::sync::Arc;

use anyhow::Context as _;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::certificates::keeper::Keeper;
use crate::certificates::served::Served;
use crate::certificates::{files, secret};
use crate::config::Args;
use crate::inject::Injector;
use crate::inject::settings::Settings;
use crate::lease::Candidate;
use crate::lists::part::Part;
use crate::metrics;
use crate::webhook::events::{self, Events};
use crate::webhook::listener::TlsListener;
use crate::webhook::namespaces::Namespaces;
use crate::webhook::review::Reviewer;
use crate::webhook::{admin_router, router};

/// For how long the last bytes of streams are waited for.
const DRAINED: tokio::time::Duration = tokio::time::Duration::from_secs(2);

/// Runs the controller until it is told to stop.
///
/// # Errors
/// What kept it from starting, or from going on.
pub async fn run(args: Args) -> anyhow::Result<()> {
    if args.check {
        return crate::check::check(&args).await;
    }
    let settings = settings(&args)?;
    let exposition = metrics::install()?;
    let client = Client::try_default()
        .await
        .context("finding the API server")?;
    let mut parts: JoinSet<anyhow::Result<()>> = JoinSet::new();
    // Those that end when told to; a part that is left without work when they do ends too.
    let mut servers: JoinSet<anyhow::Result<()>> = JoinSet::new();

    let draining = metrics::drain(exposition.clone());
    parts.spawn(ends(draining, "the upkeep of metrics"));

    let (namespaces, watching) = Namespaces::watch(client.clone());
    parts.spawn(ends(watching, "the watch of namespaces"));

    let (events, queue) = Events::queue();
    let reporter = Reporter {
        controller: "sidewall-controller".to_owned(),
        instance: Some(args.pod_name.clone()),
    };
    let recorder = Recorder::new(client.clone(), reporter);
    parts.spawn(ends(events::write(recorder, queue), "the writer of Events"));

    let served = Arc::new(Served::default());
    certificates(&args, &client, &served, &mut parts);

    let reviewer = Arc::new(Reviewer {
        injector: Injector::new(settings),
        namespaces,
        own_namespace: args.namespace.clone(),
        events,
    });
    let (stop, stopped) = watch::channel(false);
    let tls = TlsListener::bind(args.webhook_addr, served.server_config()?)
        .await
        .with_context(|| format!("listening on {}", args.webhook_addr))?;
    let lists = match args.serve_lists {
        true => {
            let until = told(stopped.clone());
            let part = Part::start(&args, &client, &mut parts);
            part.serve(&args, &client, &served, until, &mut servers)
                .await?;
            Some(part)
        }
        false => None,
    };
    let until = told(stopped.clone());
    let webhook = axum::serve(tls, router(Arc::clone(&reviewer)));
    servers.spawn(async move { Ok(webhook.with_graceful_shutdown(until).await?) });

    let admin = TcpListener::bind(args.admin_addr)
        .await
        .with_context(|| format!("listening on {}", args.admin_addr))?;
    let admin = axum::serve(
        admin,
        admin_router(reviewer, served, lists.clone(), exposition),
    );
    servers.spawn(async move { Ok(admin.with_graceful_shutdown(told(stopped)).await?) });
    tracing::info!(webhook = %args.webhook_addr, admin = %args.admin_addr, "listening");

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = parts.join_next() => {
            return ended.map_or(Ok(()), |ended| ended.context("a part panicked")?);
        }
        ended = servers.join_next() => {
            return ended.map_or(Ok(()), |ended| ended.context("a server panicked")?);
        }
    }
    tracing::info!("stopping");
    let draining = lists.as_ref().map(Part::drain).unwrap_or_default();
    // No connection is taken any more, and HTTP/2 tells the API server to make new ones elsewhere:
    // a sidecar whose stream ends here does not come back to here.
    stop.send_replace(true);
    // Reviews under way take milliseconds; the API server's own patience is ten seconds.
    let patience = tokio::time::Duration::from_secs(10).max(draining + DRAINED);
    let ended = async { while servers.join_next().await.is_some() {} };
    _ = tokio::time::timeout(patience, ended).await;
    Ok(())
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    let Some(path) = &args.settings else {
        return Ok(Settings::default());
    };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Settings::from_yaml(&text).with_context(|| path.display().to_string())
}

fn certificates(
    args: &Args,
    client: &Client,
    served: &Arc<Served>,
    parts: &mut JoinSet<anyhow::Result<()>>,
) {
    let served = Arc::clone(served);
    if let Some(directory) = args.tls_dir.clone() {
        parts.spawn(async move {
            files::follow(&directory, served, files::LOOK_EVERY).await;
            anyhow::bail!("the watch of the certificate's files ended")
        });
        return;
    }
    let secrets = Api::namespaced(client.clone(), &args.namespace);
    let name = args.secret.clone();
    parts.spawn(async move {
        secret::follow(secrets, &name, served).await;
        anyhow::bail!("the watch of the certificate's Secret ended")
    });
    let keeper = Keeper {
        client: client.clone(),
        namespace: args.namespace.clone(),
        secret: args.secret.clone(),
        configuration: args.webhook_configuration.clone(),
        api_service: args.serve_lists.then(|| args.api_service.clone()),
        names: args.dns_names(),
    };
    let leases = Api::namespaced(client.clone(), &args.namespace);
    let candidate = Candidate::new(leases, &args.lease, &args.pod_name);
    parts.spawn(async move {
        candidate.lead(|| keeper.keep()).await;
        Ok(())
    });
}

async fn ends(part: impl Future<Output = ()>, name: &'static str) -> anyhow::Result<()> {
    part.await;
    anyhow::bail!("{name} ended")
}

async fn told(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and then it is over too.
    _ = stopped.wait_for(|stopped| *stopped).await;
}
