//! The controller's command line, and the environment that a Deployment gives it.
//!
//! Where things are and what they are called; what is written into pods stands in the settings
//! ([`crate::inject::settings`]).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// What the controller is told at start.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "sidewall-controller",
    version,
    about = "Puts the sidewall sidecar into pods as they are created",
    long_about = "A mutating admission webhook that puts the sidewall sidecar into pods as they \
                  are created, and keeps its own certificate.\n\n\
                  Exit codes: 0 stopped as asked, 1 could not start or failed, 2 wrong usage."
)]
pub struct Args {
    /// The namespace the controller runs in (downward API: metadata.namespace)
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub namespace: String,

    /// The name of this replica (downward API: metadata.name)
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: String,

    /// The injector's settings; without it, the built-in ones
    #[arg(long, env = "SIDEWALL_SETTINGS", value_name = "FILE")]
    pub settings: Option<PathBuf>,

    /// Where the webhook listens, with TLS
    #[arg(
        long,
        env = "SIDEWALL_WEBHOOK_ADDR",
        default_value = "0.0.0.0:9443",
        value_name = "ADDR:PORT"
    )]
    pub webhook_addr: SocketAddr,

    /// Where /healthz, /readyz and /metrics listen, without TLS
    #[arg(
        long,
        env = "SIDEWALL_ADMIN_ADDR",
        default_value = "0.0.0.0:4392",
        value_name = "ADDR:PORT"
    )]
    pub admin_addr: SocketAddr,

    /// The Service in front of the webhook: its name is the certificate's
    #[arg(
        long,
        env = "SIDEWALL_SERVICE",
        default_value = "sidewall-webhook",
        value_name = "NAME"
    )]
    pub service: String,

    /// The MutatingWebhookConfiguration that gets the certificate authority
    #[arg(
        long,
        env = "SIDEWALL_WEBHOOK_CONFIGURATION",
        default_value = "sidewall",
        value_name = "NAME"
    )]
    pub webhook_configuration: String,

    /// The Secret in which the self-made certificate is kept
    #[arg(
        long,
        env = "SIDEWALL_SECRET",
        default_value = "sidewall-webhook-tls",
        value_name = "NAME"
    )]
    pub secret: String,

    /// The Lease by which replicas agree on who renews the certificate
    #[arg(
        long,
        env = "SIDEWALL_LEASE",
        default_value = "sidewall-controller",
        value_name = "NAME"
    )]
    pub lease: String,

    /// A folder with tls.crt and tls.key made by someone else, such as cert-manager; they are read
    /// again when they change. Without it the controller makes its own
    #[arg(long, env = "SIDEWALL_TLS_DIR", value_name = "DIR")]
    pub tls_dir: Option<PathBuf>,

    /// Serve the allow lists of all pods, as an aggregated API
    #[arg(long, env = "SIDEWALL_SERVE_LISTS")]
    pub serve_lists: bool,

    /// Where the allow lists are served, with TLS, to the API server alone
    #[arg(
        long,
        env = "SIDEWALL_LISTS_ADDR",
        default_value = "0.0.0.0:9444",
        value_name = "ADDR:PORT"
    )]
    pub lists_addr: SocketAddr,

    /// The APIService that gets the certificate authority
    #[arg(
        long,
        env = "SIDEWALL_API_SERVICE",
        default_value = "v1alpha1.allowlists.sidewall.dev",
        value_name = "NAME"
    )]
    pub api_service: String,

    /// Within how long the streams of sidecars end when the process is told to stop, each at a moment
    /// of its own
    #[arg(
        long,
        env = "SIDEWALL_LISTS_DRAIN_SECONDS",
        default_value = "10",
        value_name = "SECONDS"
    )]
    pub lists_drain_seconds: u64,

    /// Call the webhook once, as the API server does, say whether it injects, and leave
    #[arg(long)]
    pub check: bool,

    /// error, warn, info, debug, trace, or a filter such as "info,sidewall_controller=debug"
    #[arg(long, env = "SIDEWALL_LOG_LEVEL", default_value = "info")]
    pub log_level: tracing_subscriber::filter::Targets,
}

impl Args {
    /// The names by which the API server may call the webhook.
    #[must_use]
    pub fn dns_names(&self) -> Vec<String> {
        let (service, namespace) = (&self.service, &self.namespace);
        vec![
            // The name it really uses (apiserver pkg/util/webhook serviceresolver).
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]
    }
}
