//! Both formats, and every mistake of a file at once.

use sidewall::net::Protocol;

use super::*;
use crate::port::NumberOrName;

fn read_one(text: &str) -> Result<Vec<Test>, Vec<String>> {
    read(&[("t.yaml".to_owned(), text.to_owned())], "shop").map_err(|mistakes| {
        let mistakes = mistakes.into_iter();
        mistakes
            .map(|mistake| format!("{} {}: {}", mistake.line, mistake.field, mistake.problem))
            .collect()
    })
}

/// As in netassert's own end-to-end tests.
const NETASSERT: &str = "\
---
- name: busybox-deploy-to-echoserver-deploy
  type: k8s
  protocol: tcp
  targetPort: 8080
  timeoutSeconds: 269
  attempts: 3
  exitCode: 0
  src:
    k8sResource:
      kind: deployment
      name: busybox
      namespace: busybox
  dst:
    k8sResource:
      kind: statefulset
      name: echoserver
      namespace: echoserver
#######
- name: to-a-host
  type: k8s
  targetPort: 333
  exitCode: 1
  src:
    k8sResource: {kind: pod, name: busybox, namespace: busybox, clone: true}
  dst:
    host:
      name: control-plane.io
";

#[test]
fn netasserts_list_is_read_with_its_defaults() {
    let tests = read_one(NETASSERT).unwrap();
    let [first, second] = tests.as_slice() else {
        panic!("{tests:?}")
    };
    assert_eq!(first.line, 2);
    assert_eq!(first.from.to_string(), "Deployment busybox/busybox");
    assert_eq!(first.to.to_string(), "StatefulSet echoserver/echoserver");
    assert_eq!((first.expect, first.attempts), (Expect::Allow, 3));
    assert_eq!(first.timeout, Duration::from_secs(269));
    assert_eq!(second.expect, Expect::Block);
    assert_eq!(second.to, Destination::Host("control-plane.io".to_owned()));
    assert_eq!((second.timeout, second.attempts), (TIMEOUT, ATTEMPTS));
    assert_eq!(second.port.protocol, Protocol::TCP);
}

#[test]
fn every_mistake_in_netasserts_list_is_told_with_its_line() {
    let text = "\
- name: testname
  type: k9s
  protocol: nonexisting
  attempts: -2
  timeoutSeconds: -2
  targetPort: 100000
  exitcode: 0
  src:
    k8sResource:
      kind: newkind
      name: deployment1
      namespace: ns1
  dst:
    host:
      name: \"\"
- 7
";
    let mistakes = read_one(text).unwrap_err();
    let places: Vec<&str> = mistakes
        .iter()
        .filter_map(|mistake| mistake.split(": ").next())
        .collect();
    assert_eq!(
        places,
        [
            "7 [0].exitcode",
            "2 [0].type",
            "3 [0].protocol",
            "6 [0].targetPort",
            "5 [0].timeoutSeconds",
            "4 [0].attempts",
            "10 [0].src.k8sResource.kind",
            "15 [0].dst.host.name",
            "16 [1]",
        ],
        "{mistakes:#?}"
    );
    assert!(mistakes[0].contains("did you mean \"exitCode\"?"));
}

#[test]
fn what_a_test_must_have_is_told_and_two_destinations_are_one_too_many() {
    let text = "\
- name: ''
  src: {}
  dst:
    k8sResource: {kind: pod, name: a, namespace: b}
    host: {name: c}
";
    let mistakes = read_one(text).unwrap_err().join("\n");
    for word in [
        "name is required",
        "type is required",
        "targetPort: Required",
        "src.k8sResource",
        "either k8sResource or host",
    ] {
        assert!(mistakes.contains(word), "{word}: {mistakes}");
    }
}

#[test]
fn lines_are_read_and_comments_left_out() {
    let text = "\
# who may
allow: web -> db:5432            # the shop
block: deploy/web -> other/svc/api:http
allow: namespace:shop → [fd00::7]:53/udp

block: world -> shop/web:443/SCTP
allow: web -> example.org:443
";
    let tests = read_one(text).unwrap();
    let told: Vec<String> = tests
        .iter()
        .map(|test| {
            format!(
                "{} {}: {} → {} {}",
                test.line,
                test.expect.as_str(),
                test.from,
                test.to,
                test.port
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "2 allow: shop/web → shop/db 5432/TCP",
            "3 block: Deployment shop/web → Service other/api http/TCP",
            "4 allow: namespace shop → fd00::7 53/UDP",
            "6 block: world → shop/web 443/SCTP",
            "7 allow: shop/web → example.org 443/TCP",
        ]
    );
    assert_eq!(tests[0].name, "allow: web -> db:5432");
    assert_eq!(tests[1].port.port, NumberOrName::Name("http".to_owned()));
}

#[test]
fn wrong_lines_are_told_all_at_once() {
    let text =
        "allow: web db:5432\nblock: web -> db\nforbid: a -> b:1\nallow: a/b/c/d -> b:99999\n";
    let mistakes = read_one(text).unwrap_err();
    let lines: Vec<&str> = mistakes.iter().map(|text| &text[..1]).collect();
    assert_eq!(lines, ["1", "2", "3", "4", "4"], "{mistakes:#?}");
}

#[test]
fn short_entries_and_netasserts_may_stand_in_one_list() {
    let text = format!(
        "{NETASSERT}- allow: web -> db:5432\n  name: short\n  attempts: 1\n- {{block: a -> b:1, allow: a -> b:1}}\n"
    );
    let mistakes = read_one(&text).unwrap_err();
    assert_eq!(mistakes, ["32 [3]: give either allow or block"]);
    let text = text.replace(", allow: a -> b:1", "");
    let tests = read_one(&text).unwrap();
    assert_eq!((tests[2].name.as_str(), tests[2].attempts), ("short", 1));
    assert_eq!(tests.len(), 4);
}

#[test]
fn a_name_stands_once_among_all_files() {
    let file = |name: &str| (name.to_owned(), "allow: a -> b:1\n".to_owned());
    let mistakes = read(&[file("one"), file("two")], "shop").unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!((mistakes[0].file.as_str(), mistakes[0].line), ("two", 1));
    assert!(mistakes[0].problem.contains("one:1"));
}

#[test]
fn text_that_is_no_list_is_a_mistake_and_an_empty_file_is_none() {
    assert_eq!(read_one("# nothing\n").unwrap(), []);
    assert_eq!(read_one("name: x\n").unwrap_err().len(), 1);
    assert_eq!(read_one("- [\n").unwrap_err().len(), 1);
}
