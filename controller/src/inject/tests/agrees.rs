//! What is written here is what the sidecar reads: its own configuration is the judge.

use clap::Parser as _;
use sidewall_sidecar::config::{Args, Config, FlowLogFormat, Mode, OnBlock};
use sidewall_sidecar::config::{Offload, PolicySource, ServiceMixed, Source, Steering};

use super::*;
use crate::inject::options::{Accepts, Options};
use crate::inject::sidecar::Sidecar;

/// The sidecar's configuration, as the environment of an injected container makes it.
fn configuration(options: &Options) -> Config {
    let sidecar = Sidecar::new(&Settings::default(), options);
    let env = sidecar.container.get("env").unwrap().items();
    let mut typed = vec!["sidewall-sidecar".to_owned()];
    let command = <Args as clap::CommandFactory>::command();
    for variable in env {
        let name = variable.get("name").unwrap().as_str().unwrap();
        // What the downward API fills in.
        let value = variable.get("value").map_or("x", |v| v.as_str().unwrap());
        let mut flags = command.get_arguments();
        let flag = flags.find(|a| a.get_env().is_some_and(|env| env == name));
        let flag = flag.unwrap_or_else(|| panic!("{name} is none of the sidecar's"));
        typed.push(format!("--{}={value}", flag.get_long().unwrap()));
    }
    Config::try_from(Args::parse_from(typed)).unwrap()
}

#[test]
fn every_word_is_one_of_the_sidecars_and_the_other_way_round() {
    for (name, words) in [
        ("mode", Mode::WORDS),
        ("on-block", OnBlock::WORDS),
        ("steering", Steering::WORDS),
        ("offload", Offload::WORDS),
        ("service-mixed", ServiceMixed::WORDS),
        ("flow-log", FlowLogFormat::WORDS),
    ] {
        let known = KNOWN.iter().find(|known| known.name == name).unwrap();
        let Accepts::Words(ours) = known.accepts else {
            panic!("{name} takes no words");
        };
        assert_eq!(ours, words, "{name}");
    }
    let known = KNOWN.iter().find(|known| known.name == "policy-source");
    let Some(Accepts::Words(ours)) = known.map(|known| &known.accepts) else {
        panic!("policy-source takes no words");
    };
    // Files are not for pods.
    let theirs = PolicySource::WORDS
        .iter()
        .filter(|word| **word != "manifests");
    assert!(ours.iter().eq(theirs));
}

#[test]
fn the_edges_of_every_number_are_taken_by_the_sidecar() {
    for known in &KNOWN {
        let (Accepts::Number(least, most), Some(_)) = (&known.accepts, known.variable) else {
            continue;
        };
        for edge in [least, most] {
            let edge = edge.to_string();
            configuration(&Options::read([(known.name, edge.as_str())]).unwrap());
        }
    }
}

#[test]
fn options_mean_in_the_sidecar_what_they_say() {
    let options = [
        ("policy-source", "allowlists"),
        ("mode", "audit"),
        ("on-block", "drop"),
        ("flow-log", "none"),
        ("flow-log-rate", "7"),
        ("flow-table-size", "128"),
        ("log-level", "warn,sidewall=debug"),
        ("admin-port", "4400"),
        ("skip-inbound-ports", "8080, 9000-9100"),
        ("skip-outbound-ports", "53/UDP"),
    ];
    let config = configuration(&Options::read(options).unwrap());
    let kept = Source::Lists {
        kubeconfig: None,
        cache: Some("/var/cache/sidewall".into()),
    };
    assert_eq!(config.source, kept);
    assert_eq!(config.pod_uid.as_deref(), Some("x"));
    assert_eq!(config.mode, Mode::Audit);
    assert_eq!(config.on_block, OnBlock::Drop);
    assert_eq!(config.flow_log, FlowLogFormat::None);
    assert_eq!((config.flow_log_rate, config.flow_table_size), (7, 128));
    assert_eq!(config.log_level, "warn,sidewall=debug");
    assert_eq!(config.skipped.inbound.to_string(), "8080,9000-9100");
    assert_eq!(config.skipped.outbound.to_string(), "53/UDP");
    assert_eq!(config.admin_addr, Some(([0, 0, 0, 0], 4400).into()));
}

#[test]
fn the_admin_port_is_the_sidecars() {
    let port = sidewall_sidecar::config::ADMIN_PORT.to_string();
    assert_eq!(crate::inject::options::ADMIN_PORT, port);
}

#[test]
fn every_flag_of_the_sidecar_is_an_option_or_set_by_the_injector_or_not_for_pods() {
    let not_for_pods = [
        "SIDEWALL_INTERFACE",
        "SIDEWALL_MANIFESTS",
        "KUBECONFIG",
        // The volume that the list is kept in is one pod's anyway.
        "POD_UID",
        // Only where lists come ready-made.
        "SIDEWALL_POLICY_SOURCE",
        "SIDEWALL_CACHE_DIR",
    ];
    let everything = KNOWN.iter().filter_map(|known| known.variable);
    let settings = Settings::default();
    let sidecar = Sidecar::new(&settings, &settings.options);
    let env = sidecar.container.get("env").unwrap().items();
    let set = env
        .iter()
        .map(|variable| variable.get("name").unwrap().as_str().unwrap());
    let known: Vec<&str> = everything.chain(set).chain(not_for_pods).collect();
    for flag in <Args as clap::CommandFactory>::command().get_arguments() {
        let Some(variable) = flag.get_env().and_then(|env| env.to_str()) else {
            continue;
        };
        assert!(known.contains(&variable), "{variable}");
    }
}
