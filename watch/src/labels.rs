//! Labels that many pods have are in memory once: a Deployment's pods have the same, all of them.

use std::collections::HashSet;
use std::sync::Arc;

use sidewall::policy::selector::Labels;

/// Fewer sets of labels than this are not looked through for those that nobody has any more.
const FEW: usize = 256;

/// The labels of all pods that are known, each once.
#[derive(Debug, Default)]
pub(crate) struct SharedLabels {
    known: HashSet<Arc<Labels>>,
    /// How many were left when it was last looked through.
    left: usize,
}

impl SharedLabels {
    /// Puts equal labels that are known already in the place of these.
    pub(crate) fn share(&mut self, labels: &mut Arc<Labels>) {
        if let Some(known) = self.known.get(labels) {
            labels.clone_from(known);
            return;
        }
        if self.known.len() >= FEW.max(2 * self.left) {
            self.known.retain(|labels| Arc::strong_count(labels) > 1);
            self.left = self.known.len();
        }
        self.known.insert(Arc::clone(labels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: usize) -> Arc<Labels> {
        Arc::new([("app".to_owned(), value.to_string())].into())
    }

    #[test]
    fn equal_labels_are_one() {
        let mut shared = SharedLabels::default();
        let (mut one, mut other, mut third) = (labels(1), labels(1), labels(3));
        for labels in [&mut one, &mut other, &mut third] {
            shared.share(labels);
        }
        assert!(Arc::ptr_eq(&one, &other));
        assert!(!Arc::ptr_eq(&one, &third));
    }

    #[test]
    fn labels_that_no_pod_has_any_more_are_forgotten() {
        let mut shared = SharedLabels::default();
        let mut kept = labels(0);
        shared.share(&mut kept);
        for value in 1..10 * FEW {
            shared.share(&mut labels(value));
        }
        assert!(shared.known.len() <= FEW, "{}", shared.known.len());
        assert!(shared.known.contains(&kept));
    }
}
