//! The benchmark's own parts: clusters come up and enforce, and every probe gets through. No figure is
//! judged here.

use sidewall_integration::bench::arena::Arena;
use sidewall_integration::bench::axis::{Point, Probe, Row};
use sidewall_integration::bench::probe::measure;
use sidewall_integration::can_run_lab;

#[tokio::test(flavor = "multi_thread")]
async fn every_probe_gets_through_a_sidecar_that_keeps_strangers_out() -> anyhow::Result<()> {
    if !can_run_lab("bench") {
        return Ok(());
    }
    let rows = [Row::Direct, Row::Tc, Row::Offload];
    // Coming up includes that the client gets through and the stranger does not.
    let (arena, absent) = Arena::start(Point::new(20, 100), &rows).await?;
    let absent: Vec<_> = absent
        .into_iter()
        // Without the capability BPF there is no such row; the sidecar's own tests say so loudly.
        .filter(|(row, _)| *row != Row::Offload)
        .collect();
    assert_eq!(absent, []);
    let mut tried = vec![
        (Row::Tc, true, Probe::Ping),
        (Row::Tc, true, Probe::Connections),
    ];
    tried.extend(Probe::TRAFFIC.map(|probe| (Row::Direct, false, probe)));
    for (row, v6, probe) in tried {
        let (client, server) = arena.ends(row)?;
        let figures = measure(probe, client, server, v6, 1).await?;
        assert!(!figures.is_empty(), "{row:?} {probe:?}");
        assert!(
            figures.iter().all(|(_, value)| *value > 0.0),
            "{row:?} {probe:?}: {figures:?}"
        );
    }
    assert!(arena.memory(Row::Tc)?.is_some_and(|mb| mb > 0.0));
    assert_eq!(arena.memory(Row::Direct)?, None);
    arena.stop().await
}
