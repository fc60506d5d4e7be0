//! Enforce or audit: the pod's annotation, or else its namespace's, or else the flag.

use sidewall::engine::Mode;

use super::slim::MODE_ANNOTATION;

/// What the annotations and the flag say. One that cannot be read means enforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModeChoice {
    pub(crate) pod: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) flag: Mode,
}

impl ModeChoice {
    /// The mode, and what is wrong with its annotation.
    pub(crate) fn mode(&self) -> (Mode, Option<String>) {
        let (whose, word) = match (&self.pod, &self.namespace) {
            (Some(word), _) => ("pod", word),
            (None, Some(word)) => ("namespace", word),
            (None, None) => return (self.flag, None),
        };
        match word.as_str() {
            "enforce" => (Mode::Enforce, None),
            "audit" => (Mode::Audit, None),
            other => (
                Mode::Enforce,
                Some(format!(
                    "annotation {MODE_ANNOTATION} of the {whose} is {other:?}, neither enforce nor audit: enforcing"
                )),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(pod: Option<&str>, namespace: Option<&str>, flag: Mode) -> (Mode, bool) {
        let choice = ModeChoice {
            pod: pod.map(Into::into),
            namespace: namespace.map(Into::into),
            flag,
        };
        let (mode, wrong) = choice.mode();
        (mode, wrong.is_some())
    }

    #[test]
    fn the_pod_goes_before_its_namespace_and_that_before_the_flag() {
        assert_eq!(choice(None, None, Mode::Audit), (Mode::Audit, false));
        assert_eq!(
            choice(None, Some("audit"), Mode::Enforce),
            (Mode::Audit, false)
        );
        assert_eq!(
            choice(Some("enforce"), Some("audit"), Mode::Audit),
            (Mode::Enforce, false)
        );
    }

    #[test]
    fn a_word_that_is_neither_means_enforce_and_says_so() {
        assert_eq!(
            choice(Some("Audit"), None, Mode::Audit),
            (Mode::Enforce, true)
        );
        assert_eq!(choice(None, Some(""), Mode::Audit), (Mode::Enforce, true));
    }
}
