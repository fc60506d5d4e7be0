//! Comments and annotations that say that something is meant.

use super::{found, lint};

/// A policy that no API server takes: `SW005` on line 9. `{}` stand for three places of a comment.
fn policy(above_object: &str, above_field: &str, behind: &str) -> String {
    format!(
        "{above_object}\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: web, namespace: shop}}\nspec:\n  podSelector: {{}}\n  ingress:\n    \
         - from:{above_field}\n        - ipBlock: {{cidr: 10.0.0.0/8, except: [192.0.2.0/24]}}{behind}\n"
    )
}

#[test]
fn without_a_comment_it_is_told_with_its_line() {
    assert_eq!(found(&lint(&policy("# plain", "", ""))), [("SW005", 9)]);
}

#[test]
fn a_comment_behind_the_field_above_it_or_above_the_object_counts() {
    for text in [
        policy("# sidewall:ignore SW005", "", ""),
        policy("--- # sidewall:ignore SW005 -- known", "", ""),
        policy(
            "# first\n# sidewall:ignore except-outside-cidr\n# last",
            "",
            "",
        ),
        policy("#", "\n        # sidewall:ignore SW001, SW005", ""),
        policy("#", "", " # sidewall:ignore SW001 SW005 -- known"),
    ] {
        let report = lint(&text);
        assert_eq!(found(&report), [], "{text}");
        assert_eq!(report.suppressed.len(), 1, "{text}");
    }
}

#[test]
fn another_rule_or_another_line_does_not_count() {
    for text in [
        policy("# sidewall:ignore SW006", "", ""),
        policy("# sidewall:ignore SW001 -- SW005", "", ""),
        policy("# sidewall:ignore SW005\n\n", "", ""),
        policy("#", " # sidewall:ignore SW005", ""),
        policy("# SW005", "", ""),
    ] {
        assert_eq!(found(&lint(&text)).len(), 1, "{text}");
    }
}

#[test]
fn an_annotation_counts_for_the_whole_object() {
    let text = policy("#", "", "").replace(
        "namespace: shop}",
        "namespace: shop, annotations: {sidewall.dev/lint-ignore: \"SW005\"}}",
    );
    let report = lint(&text);
    assert_eq!((found(&report), report.suppressed.len()), (vec![], 1));
}
