//! Sidecars, as far as they hold what they were sent: some are followed through all changes, and
//! compared with a fresh compile in the end.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use sidewall::lists::catalogue::{Catalogue, News, Published, Revision};
use sidewall::lists::held::Held;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::policy::compile::compile_near;

/// The receivers that are followed.
#[derive(Debug, Default)]
pub struct Receivers {
    by_pod: BTreeMap<ObjectRef, (Held, Revision)>,
}

impl Receivers {
    /// Begins to follow a pod's, which holds nothing yet.
    ///
    /// # Errors
    /// When it does not become what it was told to be.
    pub fn follow(&mut self, catalogue: &Catalogue, pod: ObjectRef) -> Result<()> {
        let mut receiver = (Held::default(), Revision(0));
        take(catalogue, &pod, &mut receiver)?;
        self.by_pod.insert(pod, receiver);
        Ok(())
    }

    /// Follows a pod's no more, which is gone; whether it did.
    pub fn forget(&mut self, pod: &ObjectRef) -> bool {
        self.by_pod.remove(pod).is_some()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_pod.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_pod.is_empty()
    }

    /// Sends news to those whom something concerns, and to nobody else.
    ///
    /// # Errors
    /// When one does not become what it was told to be.
    pub fn hear(&mut self, catalogue: &Catalogue, published: &Published) -> Result<()> {
        for pod in &published.concerned {
            if let Some(receiver) = self.by_pod.get_mut(pod) {
                take(catalogue, pod, receiver)?;
            }
        }
        Ok(())
    }

    /// Compares what each holds with a fresh compile for its pod.
    ///
    /// # Errors
    /// When one holds something else.
    pub fn check(&self, catalogue: &Catalogue) -> Result<()> {
        for (pod, (held, _)) in &self.by_pod {
            let fresh = compile_near(catalogue.cluster(), pod, &[]).ok();
            ensure!(
                held.assemble(&[]) == fresh,
                "{pod} does not hold what a fresh compile gives"
            );
        }
        Ok(())
    }
}

fn take(catalogue: &Catalogue, pod: &ObjectRef, (held, at): &mut (Held, Revision)) -> Result<()> {
    let News {
        revision,
        added,
        removed,
        list,
        gone,
        digest,
    } = catalogue
        .news(pod, *at)
        .context("a receiver that never was away is told to start over")?;
    for name in &removed {
        held.remove(name);
    }
    for stored in added {
        held.put(stored.name.clone(), stored.slice.clone())?;
    }
    if list.is_some() || gone {
        held.list = list;
    }
    held.tidy();
    *at = revision;
    ensure!(
        held.digest() == digest,
        "{pod} does not hold what the digest says"
    );
    Ok(())
}
