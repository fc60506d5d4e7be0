//! What people see.

use crate::corpus::RECORDED;
use crate::run::observe;

/// Standard output, then standard error.
fn shown(arguments: &[&str], input: &str) -> String {
    let said = observe(arguments, input);
    format!(
        "{}--- stderr, exit code {:?}\n{}",
        said.out, said.code, said.notes
    )
}

#[test]
fn compact_lines_with_reasons_and_a_summary() {
    insta::assert_snapshot!(shown(&[], RECORDED));
}

#[test]
fn keys_and_values() {
    insta::assert_snapshot!(shown(
        &[
            "-o",
            "dict",
            "--verdict",
            "DROPPED",
            "--last",
            "2",
            "--print-policy-names"
        ],
        RECORDED
    ));
}

#[test]
fn a_table() {
    insta::assert_snapshot!(shown(&["-o", "table", "--to-port", "53"], RECORDED));
}

#[test]
fn a_reason_for_everything() {
    insta::assert_snapshot!(shown(
        &["--why", "always", "--first", "3", "--no-summary"],
        RECORDED
    ));
}

#[test]
fn lines_that_cannot_be_read_are_counted_and_named() {
    let lines: Vec<&str> = RECORDED.lines().take(2).collect();
    let bad = r#"{"flow":{"verdict":"DROPPED","IP":{"source":"10.0.0"}}}"#;
    let text = format!(
        "{}\nlevel=INFO msg=ready\n{bad}\n\n{{}}\n{}\n{}",
        lines[0],
        lines[1],
        "x\n".repeat(4)
    );
    insta::assert_snapshot!(shown(&["-o", "compact"], &text));
}

#[test]
fn every_mistake_in_the_flags_is_told_at_once() {
    insta::assert_snapshot!(shown(
        &[
            "--port",
            "http",
            "--verdict",
            "dropped",
            "--ip",
            "10.0.0.300",
            "--not"
        ],
        ""
    ));
}

#[test]
fn escape_sequences_in_names_do_not_reach_the_terminal() {
    let line = r#"{"flow":{"IP":{"source":"10.0.0.1"},"source":{"namespace":"a","pod_name":"x\u001b[31mred\r"},"Summary":"\u001b]0;title\u0007"}}"#;
    let said = observe(&["--no-summary"], line);
    assert!(
        !said.out.contains('\u{1b}') && !said.out.contains('\r'),
        "{:?}",
        said.out
    );
    assert!(said.out.contains("a/x^[[31mred\\r"), "{}", said.out);
}
