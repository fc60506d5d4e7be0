//! Each rule has a section on the page, with a bad example that it alone finds, and a good one in
//! which nothing is found.

use sidewall::lint::{Files, check, rules};

const PAGE: &str = include_str!("../../docs/lint.md");

/// The YAML blocks of a part of the page.
fn blocks(part: &str) -> Vec<&str> {
    let begins = part.split("```yaml\n").skip(1);
    begins.filter_map(|rest| rest.split("```").next()).collect()
}

fn section(id: &str, name: &str) -> &'static str {
    let heading = format!("\n## {id} {name}\n");
    let (_, rest) = PAGE
        .split_once(&heading)
        .unwrap_or_else(|| panic!("docs/lint.md has no section {heading:?}"));
    rest.split("\n## ").next().unwrap_or(rest)
}

fn cluster() -> &'static str {
    let (_, rest) = PAGE
        .split_once("The examples speak of this cluster")
        .expect("the page has a cluster");
    blocks(rest)[0]
}

fn findings(example: &str) -> Vec<(&'static str, Option<String>)> {
    let files = [("cluster.yaml", cluster()), ("example.yaml", example)];
    let files = Files::read(files.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let report = check(files.input());
    assert_eq!(report.suppressed, []);
    let findings = report.findings.into_iter();
    findings
        .map(|finding| (finding.rule, finding.file))
        .collect()
}

#[test]
fn each_bad_example_shows_its_own_rule_and_no_other() {
    for rule in rules() {
        let examples = blocks(section(rule.id, rule.name));
        let expected = [(rule.id, Some("example.yaml".to_owned()))];
        assert_eq!(findings(examples[0]), expected, "{} {}", rule.id, rule.name);
    }
}

#[test]
fn in_the_good_examples_nothing_is_found() {
    for rule in rules() {
        let examples = blocks(section(rule.id, rule.name));
        assert_eq!(examples.len(), 2, "{}", rule.id);
        assert_eq!(findings(examples[1]), [], "{} {}", rule.id, rule.name);
    }
}

#[test]
fn the_page_says_what_the_rules_say() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for rule in rules() {
        let section = words(section(rule.id, rule.name));
        assert!(section.contains(&words(rule.means)), "{}", rule.id);
        assert!(section.contains(&words(rule.fix)), "{}", rule.id);
        let row = format!(
            "| [{}](#{}-{}) | {} | {} |",
            rule.id,
            rule.id.to_lowercase(),
            rule.name,
            rule.severity.as_str(),
            rule.name
        );
        assert!(PAGE.contains(&row), "{row}");
    }
}

#[test]
fn ids_are_in_order_and_every_rule_is_found_by_id_and_name() {
    let ids: Vec<&str> = rules().iter().map(|rule| rule.id).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(ids, sorted);
    for rule in rules() {
        assert_eq!(sidewall::lint::rule(rule.id), Some(*rule));
        assert_eq!(sidewall::lint::rule(rule.name), Some(*rule));
    }
    assert_eq!(sidewall::lint::rule("SW000"), None);
}
