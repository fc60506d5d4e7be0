//! The parts put together, started and stopped.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use sidewall::engine::{EngineConfig, Mode};
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::lookup::{LookupOptions, ServiceMixed};
use sidewall_sidecar::admin::{self, Admin};
use sidewall_sidecar::config::{self, Config, FlowLogFormat, Source};
use sidewall_sidecar::datapath::{self, Handle, OpenConfig, Opened};
use sidewall_sidecar::device::{give_back_free_memory, give_back_program};
use sidewall_sidecar::directory::Directory;
use sidewall_sidecar::flowlog::{self, Format};
use sidewall_sidecar::lists;
use sidewall_sidecar::lists::cache::Cache;
use sidewall_sidecar::lists::who::{Questions, Who};
use sidewall_sidecar::metrics::{self, Metrics};
use sidewall_sidecar::offload::Carry;
use sidewall_sidecar::privileges;
use sidewall_sidecar::publish::Published;
use sidewall_sidecar::shared::Shared;
use sidewall_sidecar::watch::status::SourceStatus;
use sidewall_sidecar::watch::{self, Outlets};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The rest of the log is written within this time; a reader that has gone away must not keep the
/// process from ending before the kubelet's patience does (30 s by default).
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Between two looks whether the start is over, and after it.
const REST: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When a part cannot start or fails, with a sentence that says what to do.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    // What can fail without harm comes before anything is closed.
    let cluster = load_credentials(&config.source)?;
    let listener = config.admin_addr.map(listen).transpose()?;
    let metrics = Arc::new(match &config.source {
        Source::Lists { .. } => Metrics::for_lists()?,
        Source::Cluster { .. } | Source::Manifests(_) => Metrics::new()?,
    });
    let cache = open_cache(&config.source);

    // From here on the pod is closed.
    let opened = datapath::open(&OpenConfig {
        interface: config.interface.clone(),
        steering: config.steering,
        carry: match config.offload {
            config::Offload::On => Some(Carry::up_to(config.flow_table_size)),
            config::Offload::Off => None,
        },
        queues: None,
    })?;
    tracing::info!(
        steering = %opened.steering.kind,
        took_over = opened.steering.took_over,
        "the pod is closed until its policies are known: {}",
        opened.pod
    );
    if let Some(reason) = &opened.steering.not_bpf {
        tracing::info!("steering by tc, so nothing is offloaded: {reason}");
    }
    if let Some(reason) = &opened.steering.ipv6_egress_closed {
        tracing::warn!("IPv6 from the pod stays closed: {reason}");
    }
    let shared = Arc::new(Shared::new(EngineConfig {
        addresses: opened.pod.addresses(),
        capacity: config.flow_table_size,
        skipped: config.skipped.clone(),
    }));

    // No packet is parsed with a capability; threads come after this.
    privileges::drop_all(opened.maps())
        .context("privileges cannot be dropped, so no packet will be read")?;

    let (parts, questions) = Parts::new(&config, shared, metrics, &opened);
    let mut datapath = opened.run(config.on_block, &parts.outlets_shared)?;
    parts.admin.attached.store(true, Ordering::Release);
    // One thread for the control side, this one: what each thread allocates stays in an arena of its
    // own, and compiling, a tenth of a second at 10 000 pods, may keep the kubelet waiting so long.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the control side's runtime")?;
    let sources = Sources {
        cluster,
        cache,
        questions,
    };
    let ended = runtime.block_on(control(&config, &parts, sources, listener, &mut datapath));
    stop(datapath, runtime);
    ended
}

/// Reads the credentials of the API server, if policies come from one.
fn load_credentials(source: &Source) -> anyhow::Result<Option<kube::Config>> {
    let (Source::Cluster { kubeconfig } | Source::Lists { kubeconfig, .. }) = source else {
        return Ok(None);
    };
    // Only files are read, and no thread may be left behind: privileges are dropped later.
    futures::executor::block_on(watch::client::load(kubeconfig.as_deref())).map(Some)
}

/// The files of the list that is kept: later nothing may be opened for writing. Without them the
/// sidecar does all that it does, but for a start while the controller is away.
fn open_cache(source: &Source) -> Option<Cache> {
    let Source::Lists {
        cache: Some(directory),
        ..
    } = source
    else {
        return None;
    };
    let opened = Cache::open(directory);
    if let Err(error) = &opened {
        let directory = directory.display();
        tracing::warn!("no list can be kept for the next start in {directory}: {error}");
    }
    opened.ok()
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!(
            "the admin port {address} cannot be opened; if it is in use, is a second sidecar running \
             in this pod? Choose another with --admin-addr"
        )
    })?;
    listener
        .set_nonblocking(true)
        .context("the admin port cannot be used")?;
    Ok(listener)
}

/// What the tasks share.
struct Parts {
    outlets: Outlets,
    /// Knows whose addresses are, where the list does not say.
    who: Option<Arc<Who>>,
    outlets_shared: Arc<Shared>,
    admin: Arc<Admin>,
}

impl Parts {
    fn new(
        config: &Config,
        shared: Arc<Shared>,
        metrics: Arc<Metrics>,
        opened: &Opened,
    ) -> (Self, Option<Questions>) {
        let (who, questions) = match &config.source {
            Source::Lists { .. } => {
                let (who, questions) = Who::new();
                (Some(who), Some(questions))
            }
            Source::Cluster { .. } | Source::Manifests(_) => (None, None),
        };
        let options = LookupOptions {
            service_mixed: match config.service_mixed {
                config::ServiceMixed::Allow => ServiceMixed::Allow,
                config::ServiceMixed::Block => ServiceMixed::Block,
            },
        };
        let outlets = Outlets {
            pod: config.pod.clone(),
            addresses: opened.pod.addresses(),
            gateways: opened.pod.gateways.clone(),
            mode: match config.mode {
                config::Mode::Enforce => Mode::Enforce,
                config::Mode::Audit => Mode::Audit,
            },
            published: Arc::new(Published::new(Arc::clone(&shared), options)),
            directory: Arc::new(Directory::default()),
            metrics,
            status: Arc::new(SourceStatus::default()),
        };
        let admin = Arc::new(Admin {
            pod: config.pod.clone(),
            shared: Arc::clone(&shared),
            published: Arc::clone(&outlets.published),
            status: Arc::clone(&outlets.status),
            metrics: Arc::clone(&outlets.metrics),
            steering: opened.steering.kind.to_string(),
            attached: AtomicBool::new(false),
        });
        let parts = Self {
            outlets,
            who,
            outlets_shared: shared,
            admin,
        };
        (parts, questions)
    }
}

/// What the source of policies needs beside what all tasks share.
struct Sources {
    cluster: Option<kube::Config>,
    cache: Option<Cache>,
    questions: Option<Questions>,
}

/// Starts the tasks and waits for a signal, or for one of them to fail.
async fn control(
    config: &Config,
    parts: &Parts,
    sources: Sources,
    listener: Option<TcpListener>,
    datapath: &mut Handle,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let stop_log = CancellationToken::new();
    let mut log = tokio::spawn(flow_log(config, parts, stop_log.clone())?);

    let mut tasks = JoinSet::new();
    tasks.spawn(watching(config, parts, sources)?);
    if let Some(listener) = listener {
        let listener =
            tokio::net::TcpListener::from_std(listener).context("the admin port cannot be used")?;
        tasks.spawn(admin::serve(listener, Arc::clone(&parts.admin)));
    }
    tasks.spawn(upkeep(Arc::clone(&parts.outlets.metrics)));
    tokio::spawn(rest(Arc::clone(&parts.outlets.published)));

    let ended = tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        error = datapath.failed() => Err(error.context("no packet is judged any more")),
        Some(task) = tasks.join_next() => Err(match task {
            Ok(Ok(())) => anyhow::anyhow!("a task of the control side ended"),
            Ok(Err(error)) => error,
            Err(panic) => anyhow::Error::new(panic).context("a task of the control side"),
        }),
        panic = &mut log => Err(anyhow::anyhow!("the flow log ended: {panic:?}")),
    };
    tasks.shutdown().await;
    stop_log.cancel();
    if !log.is_finished() && tokio::time::timeout(LAST_WORDS, log).await.is_err() {
        tracing::warn!("the end of the flow log was not read in time");
    }
    let signal = ended?;
    tracing::info!("{signal}: stopping; the pod stays closed until a sidecar runs again");
    Ok(())
}

/// The task that keeps policies current.
fn watching(
    config: &Config,
    parts: &Parts,
    sources: Sources,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    let outlets = parts.outlets.clone();
    let Sources {
        cluster,
        cache,
        questions,
    } = sources;
    let client = cluster
        .map(|cluster| watch::client::connect(cluster, parts.outlets_shared.clone()))
        .transpose()?;
    let (source, uid) = (config.source.clone(), config.pod_uid.clone());
    Ok(async move {
        match (source, client) {
            (Source::Cluster { .. }, Some(client)) => watch::cluster(client, outlets).await,
            (Source::Manifests(directory), _) => watch::manifests(directory, outlets).await,
            (Source::Lists { .. }, Some(client)) => {
                let answering = answering(questions, client.clone(), outlets.pod.clone());
                tokio::select! {
                    () = lists::run(client, outlets, uid, cache) => {}
                    () = answering => {}
                }
            }
            (Source::Cluster { .. } | Source::Lists { .. }, None) => {
                anyhow::bail!("no API server is configured")
            }
        }
        Ok(())
    })
}

/// Asks whose addresses are, for the flow log.
async fn answering(questions: Option<Questions>, client: kube::Client, pod: ObjectRef) {
    match questions {
        Some(questions) => questions.run(client, pod).await,
        None => std::future::pending().await,
    }
}

fn flow_log(
    config: &Config,
    parts: &Parts,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let format = match (config.flow_log, terminal) {
        (FlowLogFormat::None, _) => Format::Silent,
        (FlowLogFormat::Json, _) | (FlowLogFormat::Auto, false) => Format::Json,
        (FlowLogFormat::Human, _) | (FlowLogFormat::Auto, true) => Format::Human {
            zone: jiff::tz::TimeZone::system(),
            colour: anstream::AutoStream::choice(&std::io::stdout())
                != anstream::ColorChoice::Never,
        },
    };
    let sources = flowlog::Sources {
        shared: Arc::clone(&parts.outlets_shared),
        published: Arc::clone(&parts.outlets.published),
        directory: Arc::clone(&parts.outlets.directory),
        who: parts.who.clone(),
        metrics: Arc::clone(&parts.outlets.metrics),
        pod: config.pod.clone(),
        node: config.node_name.clone(),
    };
    let rate = config.flow_log_rate;
    // Written by tokio's file threads: a reader that is slow holds up the log and nothing else.
    let out = tokio::fs::File::from_std(std::fs::File::from(
        std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .context("stdout cannot be written to")?,
    ));
    Ok(async move { flowlog::run(sources, format, rate, out, stop).await })
}

async fn upkeep(metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(metrics::UPKEEP);
    loop {
        tick.tick().await;
        metrics.upkeep();
    }
}

/// Once, when all policies are known and what came with them is over: gives back what only the start
/// needed.
async fn rest(published: Arc<Published>) {
    while published.in_force().is_none() {
        tokio::time::sleep(REST).await;
    }
    tokio::time::sleep(REST).await;
    give_back_free_memory();
    give_back_program();
}

/// Packets go on until the last moment, so that the end of the log could be read; then the devices
/// vanish, and what was steered to them goes nowhere.
fn stop(datapath: Handle, runtime: Runtime) {
    datapath.stop();
    runtime.shutdown_background();
}
