//! The running cluster that a command follows: no manifests can stand in for it.

use std::path::PathBuf;

use super::live;

/// Which cluster.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ClusterArgs {
    /// The kubeconfig of the cluster.
    #[arg(long, value_name = "FILE", help_heading = "Where flows come from")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    #[arg(long, value_name = "NAME", help_heading = "Where flows come from")]
    pub(crate) context: Option<String>,
}

impl ClusterArgs {
    /// A client whose answers may go on for as long as they like: watches, and logs that are followed.
    pub(crate) async fn client(&self) -> anyhow::Result<kube::Client> {
        let mut config = live::config(self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        // A quiet log is not a broken one.
        config.read_timeout = None;
        Ok(kube::Client::try_from(config)?)
    }

    /// The flags as they must be typed again, with a space before each.
    pub(crate) fn as_typed(&self) -> String {
        let file = self.kubeconfig.iter();
        let file = file.map(|path| format!(" --kubeconfig {}", path.display()));
        let context = self.context.iter().map(|name| format!(" --context {name}"));
        file.chain(context).collect()
    }
}
