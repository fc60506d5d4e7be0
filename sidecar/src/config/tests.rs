use clap::Parser;

use super::*;

fn typed(words: &[&str]) -> Args {
    Args::try_parse_from(std::iter::once("sidewall-sidecar").chain(words.iter().copied()))
        .expect("the command line parses")
}

fn named(words: &[&str]) -> Args {
    let mut all = vec!["--pod-namespace", "shop", "--pod-name", "web-0"];
    all.extend_from_slice(words);
    typed(&all)
}

#[test]
fn a_pod_and_its_namespace_are_enough() {
    let mut args = named(&[]);
    args.kubeconfig = None;
    let config = Config::try_from(args).expect("valid");
    assert_eq!(
        config,
        Config {
            pod: ObjectRef {
                namespace: "shop".into(),
                name: "web-0".into()
            },
            pod_uid: None,
            node_name: config.node_name.clone(),
            interface: "eth0".into(),
            mode: Mode::Enforce,
            on_block: OnBlock::Reject,
            steering: Steering::Auto,
            offload: Offload::On,
            service_mixed: ServiceMixed::Block,
            skipped: SkippedPorts::default(),
            source: Source::Cluster { kubeconfig: None },
            flow_log: FlowLogFormat::Auto,
            flow_log_rate: 1000,
            admin_addr: Some(([0, 0, 0, 0], ADMIN_PORT).into()),
            flow_table_size: 65536,
            log_level: "info".into(),
        }
    );
}

#[test]
fn every_mistake_is_reported_at_once() {
    let mut args = typed(&[
        "--interface",
        "a-name-that-is-too-long",
        "--mode",
        "Enforce",
        "--on-block",
        "refuse",
        "--steering",
        "nft",
        "--offload",
        "maybe",
        "--service-mixed",
        "maybe",
        "--flow-log",
        "xml",
        "--flow-log-rate",
        "0",
        "--admin-addr",
        "localhost:4391",
        "--flow-table-size",
        "1",
        "--log-level",
        "loud=very",
        "--skip-inbound-ports",
        "80,http",
        "--skip-outbound-ports",
        "0,9-8/UDP",
        "--policy-source",
        "etcd",
        "--cache-dir",
        "/var/cache/sidewall",
    ]);
    args.pod_namespace = None;
    args.pod_name = Some("Web_0".into());
    let mistakes = Config::try_from(args).expect_err("all wrong");
    insta::assert_snapshot!(mistakes);
}

#[test]
fn manifests_win_over_a_kubeconfig_that_the_shell_had_set() {
    let mut args = named(&["--manifests", "/policies"]);
    args.kubeconfig = Some("/home/me/.kube/config".into());
    let config = Config::try_from(args).expect("valid");
    assert_eq!(config.source, Source::Manifests("/policies".into()));
}

#[test]
fn the_configuration_prints_as_one_readable_line() {
    let mut args = named(&["--admin-addr", "[::1]:9", "--manifests", "/policies"]);
    args.node_name = None;
    let config = Config::try_from(args).expect("valid");
    assert_eq!(
        config.to_string(),
        "pod shop/web-0, interface eth0, mode enforce, on block reject, steering auto, offload on, mixed \
         services block, manifests /policies, flow log auto (at most 1000 lines a second), admin \
         [::1]:9, up to 65536 flows, log info"
    );
}

#[test]
fn skipped_ports_are_said_at_start() {
    let skipped = [
        "--skip-inbound-ports",
        "9000-9100, 8080",
        "--skip-outbound-ports",
        "53/udp",
    ];
    let config = Config::try_from(named(&skipped))
        .expect("valid")
        .to_string();
    let said = ", skipped inbound ports 8080,9000-9100, skipped outbound ports 53/UDP, ";
    assert!(config.contains(said), "{config}");
}

#[test]
fn the_admin_port_can_be_switched_off() {
    let config = Config::try_from(named(&["--admin-addr", "none"])).expect("valid");
    assert_eq!(config.admin_addr, None);
}

fn source(words: &[&str]) -> Result<Source, Mistakes> {
    let mut args = named(words);
    args.kubeconfig = None;
    Config::try_from(args).map(|config| config.source)
}

#[test]
fn without_a_word_policies_come_from_manifests_if_there_are_any_and_else_from_the_api() {
    let api = Source::Cluster { kubeconfig: None };
    assert_eq!(source(&[]), Ok(api.clone()));
    assert_eq!(source(&["--policy-source", "api"]), Ok(api));
    let files = Source::Manifests("/p".into());
    assert_eq!(source(&["--manifests", "/p"]), Ok(files.clone()));
    let both = ["--policy-source", "manifests", "--manifests", "/p"];
    assert_eq!(source(&both), Ok(files));
    let lists = ["--policy-source", "allowlists", "--cache-dir", "/c"];
    let wanted = Source::Lists {
        kubeconfig: None,
        cache: Some("/c".into()),
    };
    assert_eq!(source(&lists), Ok(wanted));
}

#[test]
fn sources_that_contradict_each_other_are_refused() {
    for (words, why) in [
        (
            &["--policy-source", "api", "--manifests", "/p"][..],
            "contradict",
        ),
        (
            &["--policy-source", "allowlists", "--manifests", "/p"],
            "contradict",
        ),
        (&["--policy-source", "manifests"], "needs --manifests"),
        (
            &["--policy-source", "api", "--cache-dir", "/c"],
            "--cache-dir",
        ),
        (&["--manifests", "/p", "--cache-dir", "/c"], "--cache-dir"),
    ] {
        let mistakes = source(words).expect_err(why);
        assert!(mistakes.to_string().contains(why), "{mistakes}");
    }
}
