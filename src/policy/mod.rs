//! Network policies: from Kubernetes objects to an allow list, and from an allow list to an answer.

pub mod allow_list;
pub mod cluster;
pub mod compile;
pub mod connectivity;
pub mod convert;
pub mod explain;
pub mod hints;
pub mod lookup;
pub mod reach;
pub mod selector;
pub mod suggest;
