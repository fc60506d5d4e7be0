//! What was typed, read flag by flag, and every mistake on the way.

use std::net::SocketAddr;
use std::path::PathBuf;

use sidewall::engine::skipped::PortList;

use super::{ADMIN_PORT, PolicySource, Source};

/// Longest name of a network interface: `IFNAMSIZ` is 16 with the closing zero
/// (linux/if.h).
const INTERFACE_NAME_MAX: usize = 15;

/// Flow tables smaller than this cannot carry a pod's own DNS traffic, larger ones than this
/// would take gigabytes.
const FLOW_TABLE_RANGE: std::ops::RangeInclusive<usize> = 64..=4_194_304;

/// Collects mistakes; each reader hands back some value so that reading goes on.
#[derive(Default)]
pub(super) struct Wrong(pub(super) Vec<String>);

impl Wrong {
    pub(super) fn word<T>(
        &mut self,
        flag: &str,
        word: &str,
        words: &[&str],
        read: fn(&str) -> Option<T>,
        otherwise: T,
    ) -> T {
        read(word).unwrap_or_else(|| {
            let words = words.join(", ");
            self.0
                .push(format!("--{flag} {word:?} is not one of: {words}"));
            otherwise
        })
    }

    pub(super) fn name(&mut self, flag: &str, variable: &str, name: Option<String>) -> String {
        match name {
            Some(name) if is_dns_name(&name) => name,
            Some(name) if !name.is_empty() => {
                self.0.push(format!(
                    "--{flag} {name:?} is not a Kubernetes name (small letters, digits, '-' and '.')"
                ));
                name
            }
            _ => {
                self.0.push(format!(
                    "--{flag} is missing: give it, or set {variable} from the downward API"
                ));
                String::new()
            }
        }
    }

    pub(super) fn source(
        &mut self,
        asked: Option<String>,
        manifests: Option<PathBuf>,
        kubeconfig: Option<PathBuf>,
        cache: Option<PathBuf>,
    ) -> Source {
        // Set to nothing in a pod's environment is not set.
        let given = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        let (manifests, cache) = (given(manifests), given(cache));
        let implied = match manifests {
            Some(_) => PolicySource::Manifests,
            None => PolicySource::Api,
        };
        let source = match asked.filter(|word| !word.is_empty()) {
            None => implied,
            Some(word) => self.word(
                "policy-source",
                &word,
                PolicySource::WORDS,
                PolicySource::from_word,
                implied,
            ),
        };
        if manifests.is_some() && source != PolicySource::Manifests {
            self.0.push(format!(
                "--manifests and --policy-source {source} contradict each other: leave one of them out"
            ));
        }
        if cache.is_some() && source != PolicySource::Allowlists {
            self.0.push(format!(
                "--cache-dir keeps the list of --policy-source allowlists, and policies come from {source}: leave it out"
            ));
        }
        // KUBECONFIG is often set in a shell; the flag that was typed for this run wins.
        let kubeconfig = given(kubeconfig);
        match (source, manifests) {
            (PolicySource::Allowlists, _) => Source::Lists { kubeconfig, cache },
            (PolicySource::Api, _) => Source::Cluster { kubeconfig },
            (PolicySource::Manifests, Some(directory)) => Source::Manifests(directory),
            (PolicySource::Manifests, None) => {
                self.0
                    .push("--policy-source manifests needs --manifests DIR".to_owned());
                Source::Manifests(PathBuf::new())
            }
        }
    }

    pub(super) fn interface(&mut self, name: String) -> String {
        let fits = (1..=INTERFACE_NAME_MAX).contains(&name.len());
        // dev_valid_name() of the kernel: no slash, colon or space, and neither "." nor "..".
        let valid = !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
        if !fits || !valid || name == "." || name == ".." {
            self.0.push(format!(
                "--interface {name:?} cannot be the name of a network interface (1 to {INTERFACE_NAME_MAX} characters)"
            ));
        }
        name
    }

    pub(super) fn ports(&mut self, flag: &str, text: &str) -> PortList {
        text.parse().unwrap_or_else(|bad| {
            self.0.push(format!("--{flag} {text:?} must be {bad}"));
            PortList::default()
        })
    }

    pub(super) fn admin_addr(&mut self, text: &str) -> Option<SocketAddr> {
        if text == "none" {
            return None;
        }
        let address = text.parse().ok();
        if address.is_none() {
            self.0.push(format!(
                "--admin-addr {text:?} is not an address and a port such as 0.0.0.0:{ADMIN_PORT} or [::]:{ADMIN_PORT}, nor none"
            ));
        }
        address
    }

    pub(super) fn flow_log_rate(&mut self, text: &str) -> u32 {
        match text.parse() {
            Ok(rate) if rate > 0 => rate,
            _ => {
                self.0.push(format!(
                    "--flow-log-rate {text:?} is not a number of lines a second from 1 to {} (--flow-log none for no lines)",
                    u32::MAX
                ));
                1
            }
        }
    }

    pub(super) fn flow_table_size(&mut self, text: &str) -> usize {
        match text.parse() {
            Ok(size) if FLOW_TABLE_RANGE.contains(&size) => size,
            _ => {
                let (least, most) = (FLOW_TABLE_RANGE.start(), FLOW_TABLE_RANGE.end());
                self.0.push(format!(
                    "--flow-table-size {text:?} is not a number from {least} to {most}"
                ));
                *least
            }
        }
    }

    pub(super) fn log_level(&mut self, text: String) -> String {
        if let Err(error) = text.parse::<tracing_subscriber::filter::Targets>() {
            self.0.push(format!(
                "--log-level {text:?} is not a log filter ({error}): error, warn, info, debug, trace, or target=level,…"
            ));
        }
        text
    }
}

/// RFC 1123 subdomain as Kubernetes checks object names (apimachinery `IsDNS1123Subdomain`).
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
