//! Errors in one line: what failed, and everything beneath it. kube's own sentence often ends at
//! "client error (Connect)"; the cause is what helps.

use std::error::Error;

/// The error and its causes.
#[must_use]
pub fn why(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Many errors say their cause themselves.
        if !line.contains(&next) {
            line.push_str(": ");
            line.push_str(&next);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn causes_are_told_once() {
        let root = Layer("refused", None);
        let middle = Layer("connect: refused", Some(Box::new(root)));
        let top = Layer("listing pods", Some(Box::new(middle)));
        assert_eq!(why(&top), "listing pods: connect: refused");
    }
}
