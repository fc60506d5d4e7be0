//! Names typed, over one small shop.

use super::*;
use crate::source::Source;

const SHOP: &str = "
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: []}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {selector: {app: db}, ports: [{port: 80, targetPort: sql}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: dbs, namespace: shop}, spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80, targetPort: sql}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: old, namespace: shop}, spec: {clusterIP: None, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: empty}}
";

fn shop(more: &str) -> Source {
    let (source, mistakes) = Source::from_text("shop", &format!("{SHOP}{more}"));
    assert_eq!(mistakes, []);
    source
}

fn ends(source: &Source, text: &str) -> Result<Vec<String>, String> {
    let name = parse(text, "shop").map_err(|why| why.to_string())?;
    let ends = name.resolve(source).map_err(|why| why.to_string())?;
    Ok(ends.iter().map(ToString::to_string).collect())
}

#[test]
fn what_kubectl_users_type_is_understood() {
    let source = shop("");
    for (typed, meant) in [
        ("shop/web", "shop/web"),
        ("web", "shop/web"),
        ("deploy/web", "shop/web"),
        ("shop/deployments/web", "shop/web"),
        ("pod/db", "shop/db"),
        ("svc/db", "Service shop/db"),
        ("shop/svc/db", "Service shop/db"),
        ("db.shop.svc.cluster.local", "Service shop/db"),
        ("svc/dbs", "shop/db"),
        ("world", "world"),
        ("192.168.1.1", "192.168.1.1"),
        ("2001:db8::7", "2001:db8::7"),
    ] {
        assert_eq!(ends(&source, typed), Ok(vec![meant.to_owned()]), "{typed}");
    }
    let both = Ok(vec!["shop/db".to_owned(), "shop/web".to_owned()]);
    assert_eq!(ends(&source, "namespace:shop"), both);
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let source = shop("");
    for (typed, told) in [
        ("other/web", "did you mean shop/deployment/web?"),
        (
            "shop/wbe",
            "there is no pod or workload shop/wbe (did you mean shop/deployment/web?)",
        ),
        (
            "sts/web",
            "there is no StatefulSet shop/web (did you mean shop/deployment/web?)",
        ),
        ("namespace:shp", "did you mean namespace:shop?"),
        ("namespace:empty", "namespace empty has no pods"),
        (
            "svc/web",
            "there is no Service shop/web (did you mean shop/deployment/web?)",
        ),
        ("svc/old", "has no address of its own and no endpoints"),
        ("a/b/c", "the word in the middle is no kind"),
        ("a//c", "names no end"),
        ("shop:web", "names no end"),
    ] {
        let answer = ends(&source, typed).expect_err(typed);
        assert!(answer.contains(told), "{typed}: {answer}");
    }
}

#[test]
fn the_world_is_an_address_that_no_policy_means_in_particular() {
    let office = "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, \
                  spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [198.51.100.0/24]}}, \
                  {ipBlock: {cidr: 203.0.113.0/24}}]}]}}\n";
    let world = parse("world", "").unwrap().resolve(&shop(office)).unwrap();
    let address = |text: &str| reach::End::Address(text.parse().unwrap());
    assert_eq!(
        world[0].asked,
        [address("192.0.2.77"), address("2001:db8:ffff::1")]
    );
}

#[test]
fn a_service_is_asked_in_the_family_that_its_client_has() {
    let v6 = "---\n{apiVersion: v1, kind: Pod, metadata: {name: six, namespace: shop}, spec: {containers: []}, \
              status: {podIPs: [{ip: 'fd00::6'}]}}\n";
    let source = shop(v6);
    let mut reacher = Reacher::new(&source.cluster, Default::default());
    let [from, to] = ["shop/six", "svc/db"].map(|typed| {
        let ends = parse(typed, "shop").unwrap().resolve(&source);
        ends.unwrap().remove(0)
    });
    let answer = reach(&mut reacher, &from, &to, Protocol::TCP, 80).unwrap();
    assert!(answer.allowed());
    let peer = answer.egress.expect("six is a pod").question.peer;
    assert!(peer.is_ipv6(), "{peer}");
}
