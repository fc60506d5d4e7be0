//! Names, label keys and values, ports: the syntaxes of the API and the sentences it refuses with.
//! Every function gives the reasons why not; none means valid.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// A DNS label (RFC 1123), as namespaces and containers are named.
pub(crate) fn dns_label(value: &str) -> Vec<String> {
    let mut why = too_long(value, 63);
    if !is_label(value) {
        why.push(pattern(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            LABEL,
            &["my-name", "123-abc"],
        ));
    }
    why
}

/// A DNS subdomain (RFC 1123), as most objects are named.
pub(crate) fn dns_subdomain(value: &str) -> Vec<String> {
    let mut why = too_long(value, 253);
    if !value.split('.').all(is_label) {
        why.push(pattern(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN,
            &["example.com"],
        ));
    }
    why
}

/// A DNS label that starts with a letter (RFC 1035), as services are named.
pub(crate) fn dns_1035_label(value: &str) -> Vec<String> {
    let mut why = too_long(value, 63);
    if !is_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        why.push(pattern(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            LABEL_1035,
            &["my-name", "abc-123"],
        ));
    }
    why
}

/// A label or annotation key: `prefix/name`.
pub(crate) fn qualified_name(value: &str) -> Vec<String> {
    let examples = &["MyName", "my.name", "123-abc"];
    let parts: Vec<&str> = value.split('/').collect();
    let mut why = Vec::new();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                why.push("prefix part must be non-empty".to_owned());
            } else {
                why.extend(
                    dns_subdomain(prefix)
                        .into_iter()
                        .map(|w| format!("prefix part {w}")),
                );
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                pattern(QUALIFIED_MESSAGE, QUALIFIED, examples)
            )];
        }
    };
    if name.is_empty() {
        why.push("name part must be non-empty".to_owned());
    }
    why.extend(
        too_long(name, 63)
            .into_iter()
            .map(|w| format!("name part {w}")),
    );
    if !is_qualified(name) {
        why.push(format!(
            "name part {}",
            pattern(QUALIFIED_MESSAGE, QUALIFIED, examples)
        ));
    }
    why
}

/// The value of a label.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    let mut why = too_long(value, 63);
    if !value.is_empty() && !is_qualified(value) {
        why.push(pattern(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &format!("({QUALIFIED})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    why
}

/// A port by name (IANA_SVC_NAME of RFC 6335).
pub(crate) fn port_name(value: &str) -> Vec<String> {
    let mut why = too_long(value, 15);
    let mut refuse = |broken: bool, text: &str| {
        if broken {
            why.push(text.to_owned());
        }
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    refuse(
        value.is_empty() || !value.chars().all(allowed),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    refuse(
        !value.contains(|c: char| c.is_ascii_lowercase()),
        "must contain at least one letter (a-z)",
    );
    refuse(value.contains("--"), "must not contain consecutive hyphens");
    refuse(
        value.starts_with('-') || value.ends_with('-'),
        "must not begin or end with a hyphen",
    );
    why
}

/// A port by number.
pub(crate) fn port_number(value: i64) -> Vec<String> {
    if (1..=65535).contains(&value) {
        Vec::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".to_owned()]
    }
}

fn is_label(value: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !value.is_empty()
        && value.chars().all(inner)
        && !value.starts_with('-')
        && !value.ends_with('-')
}

fn is_qualified(value: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: char| c.is_ascii_alphanumeric();
    value.chars().all(inner) && value.starts_with(edge) && value.ends_with(edge)
}

fn too_long(value: &str, max: usize) -> Vec<String> {
    if value.len() > max {
        vec![format!("must be no more than {max} bytes")]
    } else {
        Vec::new()
    }
}

/// The API's sentence for a pattern that does not match, its spacing included.
fn pattern(message: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!(
        "{message} (e.g. {}regex used for validation is '{regex}')",
        examples.join(" or ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dns() {
        let long = "a".repeat(64);
        for (name, label, subdomain, label_1035) in [
            ("a", true, true, true),
            ("a-b", true, true, true),
            ("1a", true, true, false),
            ("a.b", false, true, false),
            ("A", false, false, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("a..b", false, false, false),
            ("", false, false, false),
            (&long, false, true, false),
        ] {
            assert_eq!(dns_label(name).is_empty(), label, "label {name}");
            assert_eq!(
                dns_subdomain(name).is_empty(),
                subdomain,
                "subdomain {name}"
            );
            assert_eq!(dns_1035_label(name).is_empty(), label_1035, "1035 {name}");
        }
    }

    #[test]
    fn the_sentence_is_the_apis_own() {
        assert_eq!(
            dns_label("X_Y"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
    }

    #[test]
    fn label_keys_may_have_a_prefix_and_values_may_be_empty() {
        for (key, ok) in [
            ("app", true),
            ("kubernetes.io/metadata.name", true),
            ("a_b.c", true),
            ("/a", false),
            ("a/", false),
            ("a/b/c", false),
            ("-a", false),
            ("a b", false),
        ] {
            assert_eq!(qualified_name(key).is_empty(), ok, "{key}");
        }
        for (value, ok) in [("", true), ("a_b.c", true), ("a b", false), (".a", false)] {
            assert_eq!(label_value(value).is_empty(), ok, "{value}");
        }
    }

    #[test]
    fn port_names_are_service_names() {
        for (name, ok) in [
            ("http", true),
            ("p-80", true),
            ("80", false),
            ("Http", false),
            ("a--b", false),
            ("-a", false),
            ("", false),
            ("a-name-that-is-too-long", false),
        ] {
            assert_eq!(port_name(name).is_empty(), ok, "{name}");
        }
    }
}
