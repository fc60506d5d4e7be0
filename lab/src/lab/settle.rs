//! placeholder
use crate::controller::Shared;
use anyhow::Result;
use std::time::Duration;
pub(super) async fn settled(shared: &Shared, timeout: Duration) -> Result<()> {
    let _ = (shared, timeout);
    anyhow::bail!("no")
}
