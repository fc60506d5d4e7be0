//! A simulated cluster: which pods there are, and what becomes of them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::shapes;

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace's number.
    pub namespace: usize,
    /// Its workload's number in that.
    pub workload: usize,
    /// No two pods ever have the same.
    pub serial: u32,
    /// Its node's number.
    pub node: usize,
    /// Which version of its workload's template it has.
    pub version: u32,
}

/// A simulated cluster.
#[derive(Debug)]
pub struct World {
    /// Pods by namespace and workload. They keep their places when they are replaced.
    pub namespaces: Vec<Vec<Vec<Pod>>>,
    /// Where chance comes from: the same for the same size.
    pub random: StdRng,
    nodes: usize,
    serial: u32,
}

/// Where a pod stands: namespace, workload, number.
pub type Place = (usize, usize, usize);

impl World {
    /// A cluster of so many pods.
    #[must_use]
    pub fn new(pods: usize) -> Self {
        let mut world = Self {
            namespaces: Vec::new(),
            random: StdRng::seed_from_u64(7),
            nodes: pods.div_ceil(shapes::PODS_OF_A_NODE),
            serial: 0,
        };
        for (namespace, size) in shapes::namespace_sizes(pods).into_iter().enumerate() {
            let mut workloads = Vec::new();
            let mut left = size;
            while left > 0 {
                let size = shapes::workload_size(&mut world.random).min(left);
                left -= size;
                let workload = workloads.len();
                let pods = (0..size).map(|_| world.pod(namespace, workload, 0));
                workloads.push(pods.collect());
            }
            world.namespaces.push(workloads);
        }
        world
    }

    /// All pods' places.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (namespace, workloads) in self.namespaces.iter().enumerate() {
            for (workload, pods) in workloads.iter().enumerate() {
                places.extend((0..pods.len()).map(|number| (namespace, workload, number)));
            }
        }
        places
    }

    /// Replaces a pod by one of the same workload, of this version of its template or of the next; the
    /// old one and the new.
    pub fn replace(&mut self, place: Place, next: bool) -> (Pod, Pod) {
        let (namespace, workload, number) = place;
        let old = self.namespaces[namespace][workload][number].clone();
        let new = self.pod(namespace, workload, old.version + u32::from(next));
        self.namespaces[namespace][workload][number] = new.clone();
        (old, new)
    }

    fn pod(&mut self, namespace: usize, workload: usize, version: u32) -> Pod {
        self.serial += 1;
        Pod {
            namespace,
            workload,
            serial: self.serial,
            node: self.random.random_range(0..self.nodes),
            version,
        }
    }
}
