//! Who is to be woken: the streams of a pod whose list or slices changed, and nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use sidewall::policy::allow_list::ObjectRef;
use tokio::sync::Notify;

type Sleepers = HashMap<ObjectRef, Vec<Arc<Notify>>, RandomState>;

/// The streams that wait, by pod.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Mutex<Sleepers>>);

/// A stream's place; it is given up when dropped.
#[derive(Debug)]
pub struct Place {
    wake: Wake,
    pod: ObjectRef,
    notify: Arc<Notify>,
}

impl Wake {
    /// A place for a stream of this pod.
    #[must_use]
    pub fn place(&self, pod: ObjectRef) -> Place {
        let notify = Arc::new(Notify::new());
        let mut sleepers = self.sleepers();
        let of_pod = sleepers.entry(pod.clone()).or_default();
        of_pod.push(Arc::clone(&notify));
        drop(sleepers);
        Place {
            wake: self.clone(),
            pod,
            notify,
        }
    }

    /// Wakes the streams of these pods.
    pub fn wake<'a>(&self, pods: impl Iterator<Item = &'a ObjectRef>) {
        let sleepers = self.sleepers();
        for sleeper in pods.filter_map(|pod| sleepers.get(pod)).flatten() {
            // One that is busy finds this when it looks next.
            sleeper.notify_one();
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the pod is concerned; at once if it was since the last time.
    pub async fn concerned(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sleepers = self.wake.sleepers();
        if let Some(of_pod) = sleepers.get_mut(&self.pod) {
            of_pod.retain(|other| !Arc::ptr_eq(other, &self.notify));
            if of_pod.is_empty() {
                sleepers.remove(&self.pod);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn pod(name: &str) -> ObjectRef {
        ObjectRef {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn only_the_concerned_wake_and_nobody_is_forgotten_meanwhile() {
        let wake = Wake::default();
        let (a, also_a, b) = (
            wake.place(pod("a")),
            wake.place(pod("a")),
            wake.place(pod("b")),
        );
        wake.wake([pod("a"), pod("nobody")].iter());
        wake.wake([pod("a")].iter());
        assert!(a.concerned().now_or_never().is_some());
        assert!(a.concerned().now_or_never().is_none(), "twice is once");
        assert!(also_a.concerned().now_or_never().is_some());
        assert!(b.concerned().now_or_never().is_none());
        drop((a, b));
        assert_eq!(wake.sleepers().len(), 1);
        drop(also_a);
        assert!(wake.sleepers().is_empty());
    }
}
