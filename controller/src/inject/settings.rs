//! What the injector writes, as the cluster's operator chose it: the image, the options, the
//! capabilities. A YAML file; the chart makes it from its values.
//!
//! Read once and all or nothing: an unknown field is a mistake.

use serde::{Deserialize, Serialize};

use super::options::Options;

/// The injector's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The sidecar's image.
    pub image: String,
    /// When the image is pulled; the API server's default when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// The address the admin port listens on: `0.0.0.0`, or `[::]` where pods have IPv6 only.
    pub admin_host: String,
    /// What the container may do. NET_ADMIN is always needed; BPF is for eBPF steering.
    pub capabilities: Vec<Capability>,
    /// For how long the pod's start waits for the first policies before the sidecar is restarted.
    pub startup_seconds: u32,
    /// Options of every sidecar that its pod does not override.
    pub options: Options,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// Capabilities a sidecar may be given. There are no others on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Capability {
    /// Links, addresses, tc filters, the TUN device.
    #[serde(rename = "NET_ADMIN")]
    NetAdmin,
    /// Loading eBPF programs and making their maps (Linux 5.8).
    #[serde(rename = "BPF")]
    Bpf,
}

/// Why settings were not read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not YAML, or not these fields.
    #[error("{0}")]
    Unreadable(String),
    /// What the fields say cannot be.
    #[error("{0}")]
    Impossible(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: concat!("ghcr.io/sidewall-dev/sidewall:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_pull_policy: Some(PullPolicy::IfNotPresent),
            admin_host: "0.0.0.0".to_owned(),
            capabilities: vec![Capability::NetAdmin, Capability::Bpf],
            startup_seconds: 120,
            options: default_options(),
        }
    }
}

impl Settings {
    /// Reads settings.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_yaml(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_saphyr::from_str(text)
            .map_err(|error| SettingsError::Unreadable(error.to_string()))?;
        let impossible = settings.impossible();
        if impossible.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError::Impossible(impossible.join("; ")))
        }
    }

    fn impossible(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.image.is_empty() || self.image.contains(char::is_whitespace) {
            mistakes.push(format!(
                "image {:?} is not the name of an image",
                self.image
            ));
        }
        if !self.capabilities.contains(&Capability::NetAdmin) {
            mistakes.push("capabilities must have NET_ADMIN: nothing works without".to_owned());
        }
        if !(1..=3600).contains(&self.startup_seconds) {
            mistakes.push("startupSeconds must be from 1 to 3600".to_owned());
        }
        let listens = format!("{}:1", self.admin_host);
        if listens.parse::<std::net::SocketAddr>().is_err() {
            mistakes.push(format!(
                "adminHost {:?} is not an address such as 0.0.0.0 or [::]",
                self.admin_host
            ));
        }
        mistakes
    }
}

/// Those of the chart: who injects by hand and who lets the webhook do it get the same pods. JSON, because nobody watches a container's terminal; and room for the default flow table. No
/// CPU limit: a throttled firewall is a throttled pod.
fn default_options() -> Options {
    Options::read([
        ("policy-source", "allowlists"),
        ("mode", "enforce"),
        ("flow-log", "json"),
        ("log-level", "info"),
        ("cpu-request", "10m"),
        ("memory-request", "32Mi"),
        ("memory-limit", "256Mi"),
    ])
    .expect("a test reads the defaults")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_read_back_as_they_are_written() {
        let defaults = Settings::default();
        let text = serde_saphyr::to_string(&defaults).unwrap();
        assert_eq!(Settings::from_yaml(&text).unwrap(), defaults);
        assert_eq!(Settings::from_yaml("{}").unwrap(), defaults);
    }

    #[test]
    fn numbers_and_booleans_need_no_quotes() {
        let text = "options: {admin-port: 4400, drop-net-raw: true, mode: audit}";
        let settings = Settings::from_yaml(text).unwrap();
        assert_eq!(settings.options.get("admin-port"), Some("4400"));
        assert!(settings.options.drop_net_raw());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("imagee: x", "imagee"),
            ("image: ''", "image"),
            ("capabilities: [SYS_ADMIN]", "SYS_ADMIN"),
            ("capabilities: [BPF]", "NET_ADMIN"),
            ("startupSeconds: 0", "startupSeconds"),
            ("adminHost: '::'", "adminHost"),
            ("options: {mood: x}", "mood"),
            ("options: {mode: x}", "mode"),
            (
                "options: {memory-limit: 16Mi, memory-request: 32Mi}",
                "below",
            ),
        ] {
            let error = Settings::from_yaml(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
