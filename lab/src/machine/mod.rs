//! What the lab makes on the machine: a claim (id, lock, leftovers), network namespaces, interfaces,
//! kernel settings and nftables rules. No Kubernetes here.

pub(crate) mod claim;
pub(crate) mod links;
pub(crate) mod namespace;
pub(crate) mod nft;
pub(crate) mod sysctl;
