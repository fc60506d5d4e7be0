//! The chart and the programs agree: metrics that alerts and dashboards ask for are really
//! written, options in the values are really known, flags in the Deployment really exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use sidewall_controller::config::Args;
use sidewall_controller::inject::options::{Accepts, KNOWN};
use sidewall_controller::inject::settings::Settings;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every word of this alphabet that begins so.
fn words(text: &str, begins: &str) -> BTreeSet<String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !inside(c));
    let ours = words.filter(|word| word.starts_with(begins));
    ours.map(str::to_owned).collect()
}

#[test]
fn every_metric_that_is_asked_for_is_written() {
    let sources = [
        "sidecar/src/metrics.rs",
        "controller/src/metrics.rs",
        "controller/src/lists/metrics.rs",
    ];
    let sources = sources.map(read).concat();
    let written = words(&sources, "sidewall_");
    for file in ["alerts.yaml", "dashboards/sidewall.json"] {
        let asked = words(&read(&format!("helm/sidewall/{file}")), "sidewall_");
        assert!(!asked.is_empty());
        for metric in asked {
            let name = metric.strip_suffix("_bucket").unwrap_or(&metric);
            assert!(written.contains(name), "{file}: {metric}");
        }
    }
}

#[test]
fn every_variable_of_the_deployment_is_a_flags() {
    let command = Args::command();
    let known: BTreeSet<_> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
        .collect();
    for file in ["deployment.yaml", "tests/webhook.yaml"] {
        let text = read(&format!("helm/sidewall/templates/{file}"));
        for variable in words(&text, "SIDEWALL_") {
            assert!(known.contains(&variable), "{file}: {variable}");
        }
    }
}

#[test]
fn the_schema_knows_the_options_that_the_injector_knows() {
    let schema: serde_json::Value =
        serde_json::from_str(&read("helm/sidewall/values.schema.json")).unwrap();
    let options = &schema["properties"]["sidecar"]["properties"]["options"]["properties"];
    let in_schema: BTreeSet<&str> = options
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut known: BTreeSet<&str> = KNOWN.iter().map(|known| known.name).collect();
    // One value of the chart for both, the controller and the sidecars.
    assert!(known.remove("policy-source"));
    assert_eq!(in_schema, known);
    let source = KNOWN.iter().find(|known| known.name == "policy-source");
    let Some(Accepts::Words(words)) = source.map(|known| &known.accepts) else {
        panic!("policy-source takes no words");
    };
    let words = serde_json::json!(words);
    assert_eq!(schema["properties"]["policySource"]["enum"], words);
}

#[test]
fn the_chart_and_the_command_line_inject_the_same() {
    let golden = read("helm/golden/default.yaml");
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&golden).unwrap();
    let settings = documents
        .iter()
        .find_map(|document| document["data"]["settings.yaml"].as_str())
        .unwrap();
    let settings = Settings::from_yaml(settings).unwrap();
    assert_eq!(settings, Settings::default());
}

#[test]
fn chart_and_programs_have_one_version() {
    let chart = read("helm/sidewall/Chart.yaml");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        chart.contains(&format!("\nversion: {version}\n")),
        "{chart}"
    );
    assert!(
        chart.contains(&format!("\nappVersion: {version}\n")),
        "{chart}"
    );
}
