//! Findings as SARIF 2.1.0 (OASIS, 2020): what GitHub, GitLab and editors show beside the code.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::json;
use serde_sarif::sarif::{
    ArtifactLocation, Location, LogicalLocation, Message, MultiformatMessageString,
    PhysicalLocation, Region, ReportingConfiguration, ReportingDescriptor, Result as SarifResult,
    ResultLevel, Run, SCHEMA_URL, Sarif, Suppression, Tool, ToolComponent,
};
use sidewall::lint::{self, Finding, Report, Rule, Severity};

/// The log, indented.
pub(super) fn text(report: &Report) -> anyhow::Result<String> {
    let findings = report.findings.iter().map(|finding| result(finding, false));
    let suppressed = report
        .suppressed
        .iter()
        .map(|finding| result(finding, true));
    let rules: Vec<ReportingDescriptor> = lint::rules().iter().copied().map(descriptor).collect();
    let driver = ToolComponent::builder()
        .name("sidewall")
        .version(env!("CARGO_PKG_VERSION"))
        .information_uri(env!("CARGO_PKG_REPOSITORY"))
        .rules(rules)
        .build();
    let run = Run::builder()
        .tool(Tool::builder().driver(driver).build())
        .results(findings.chain(suppressed).collect::<Vec<_>>())
        .build();
    let log = Sarif::builder()
        .schema(SCHEMA_URL)
        .version(json!("2.1.0"))
        .runs(vec![run])
        .build();
    serde_json::to_string_pretty(&log).context("SARIF")
}

fn descriptor(rule: &Rule) -> ReportingDescriptor {
    let text = |text: &str| MultiformatMessageString::builder().text(text).build();
    let configuration = ReportingConfiguration::builder()
        .level(json!(level(rule.severity)))
        .build();
    ReportingDescriptor::builder()
        .id(rule.id)
        .name(rule.name)
        .full_description(text(rule.means))
        .help(text(rule.fix))
        .help_uri(rule.link())
        .default_configuration(configuration)
        .build()
}

fn result(finding: &Finding, suppressed: bool) -> SarifResult {
    let message = format!("{} (fix: {})", finding.message, finding.fix);
    let place = Location::builder().logical_locations(vec![object(finding)]);
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => {
            let artifact = ArtifactLocation::builder().uri(uri(file)).build();
            let line = i64::try_from(line).unwrap_or(i64::MAX);
            let region = Region::builder().start_line(line).build();
            let physical = PhysicalLocation::builder()
                .artifact_location(artifact)
                .region(region)
                .build();
            place.physical_location(physical).build()
        }
        _ => place.build(),
    };
    let mut result = SarifResult::builder()
        .rule_id(finding.rule)
        .level(level(finding.severity))
        .message(Message::builder().text(message).build())
        .locations(vec![place])
        .build();
    if suppressed {
        let suppression = Suppression::builder().kind(json!("inSource")).build();
        result.suppressions = Some(vec![suppression]);
    }
    result
}

/// `NetworkPolicy/shop/web/spec.egress`.
fn object(finding: &Finding) -> LogicalLocation {
    let object = finding.object.as_ref().map(ToString::to_string);
    let words = [
        Some(finding.kind.clone()),
        object,
        Some(finding.field.clone()),
    ];
    let words: Vec<String> = words
        .into_iter()
        .flatten()
        .filter(|word| !word.is_empty())
        .collect();
    LogicalLocation::builder()
        .fully_qualified_name(words.join("/"))
        .kind("object")
        .build()
}

const fn level(severity: Severity) -> ResultLevel {
    match severity {
        Severity::Error => ResultLevel::Error,
        Severity::Warning => ResultLevel::Warning,
        Severity::Info => ResultLevel::Note,
    }
}

/// A path as a URI reference (RFC 3986 §2.3): relative ones stay relative, to the repository's root.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn a_path_becomes_a_uri() {
        assert_eq!(uri("./a/b c.yaml"), "a/b%20c.yaml");
        assert_eq!(uri("/etc/p.yaml"), "file:///etc/p.yaml");
        assert_eq!(uri("ü.yaml"), "%C3%BC.yaml");
    }
}
