//! One after the other, what watchers depend on is killed, and each is waited for until it is back.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::cost::Memory;
use super::run::Crowd;
use super::sampler::Returns;
use crate::apiserver::Controller;

/// A blow is over when nobody was without contact for as long.
const QUIET: Duration = Duration::from_secs(4);
/// A replica that ends lets its streams go within ten seconds.
const DRAINED: Duration = Duration::from_secs(14);
/// Nobody is there for as long.
const AWAY: Duration = Duration::from_secs(5);

/// All blows.
pub(super) async fn strike(crowd: &mut Crowd) -> Result<()> {
    println!(
        "\n| | lost contact | first back | p50 | last back | most within 0.1 s | agree afterwards |\n\
         |---|---|---|---|---|---|---|"
    );
    if crowd.is_served() {
        drop(crowd.controllers.remove(0));
        let returns = Returns::after_a_blow(&crowd.watchers, QUIET).await?;
        tell(crowd, "`kill -9` of one of two replicas", &returns).await?;

        start(crowd, "sidewall-2").await?;
        let ending = crowd.controllers.remove(0);
        let (ended, returns) = tokio::join!(
            ending.terminate(),
            Returns::after_a_blow(&crowd.watchers, DRAINED),
        );
        ended?;
        tell(crowd, "SIGTERM to one of two", &returns?).await?;

        drop(crowd.controllers.remove(0));
        sleep(AWAY).await;
        start(crowd, "sidewall-3").await?;
        let returns = Returns::after_a_blow(&crowd.watchers, QUIET).await?;
        let blow = "all replicas away for some seconds, from the return of one";
        tell(crowd, blow, &returns).await?;
    }
    crowd.server.kill().await;
    crowd.server.start_again().await?;
    let returns = Returns::after_a_blow(&crowd.watchers, QUIET).await?;
    let blow = "`kill -9` of kube-apiserver, from its return";
    tell(crowd, blow, &returns).await?;
    println!("at the end: {:?}", Memory::of(crowd).await?);
    Ok(())
}

async fn start(crowd: &mut Crowd, name: &str) -> Result<()> {
    let controller = Controller::start(&crowd.server, name).await?;
    crowd.controllers.push(controller);
    Ok(())
}

async fn tell(crowd: &Crowd, blow: &str, returns: &Returns) -> Result<()> {
    println!("{}", returns.row(blow, crowd.agree().await?));
    Ok(())
}
