//! Ways to the API server: kubeconfigs for this machine and for the pods (their own tokens in it if
//! wanted), and the relay that makes
//! the server reachable from inside of the lab.

pub(crate) mod accounts;
pub(crate) mod kubeconfig;
pub(crate) mod objects;
pub(crate) mod relay;
