//! What has to be done although nobody asks: silence judged, changes written, the old let go.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    app::App,
    roster::Hearing,
    store::{StoreError, door::now_ms},
};

/// Between two looks at the roster and the operations.
const TICK: Duration = Duration::from_millis(250);

/// Between two writings of when nodes were last heard.
const NODES_EVERY: Duration = Duration::from_secs(60);

/// Between two looks at the files that say where clients are.
const GEO_EVERY: Duration = Duration::from_secs(10);

/// Between two trimmings of the store.
const TRIM_EVERY: Duration = Duration::from_secs(3_600);

/// Runs until the selector stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut nodes_written = Instant::now();
    let mut trimmed = Instant::now();
    let mut located: Option<Instant> = None;
    let mut failing = false;
    let mut isolated = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.stop.cancelled() => return,
        }
        app.roster.tick();
        app.roster.measured(app.beacons.medians(app.roster.now_ms()));
        if !app.geo.is_empty() && located.is_none_or(|last| last.elapsed() >= GEO_EVERY) {
            located = Some(Instant::now());
            let geo = Arc::clone(&app.geo);
            // Not waited for: a large database takes seconds.
            drop(tokio::task::spawn_blocking(move || geo.refresh()));
        }
        app.metrics.ejected(&app.roster.changes());
        isolated = said(app.roster.hearing(), isolated);
        let now = now_ms();
        app.tracker.lost(&app.roster.down(), now);
        let mut outcome = app.tracker.save(now, false).await;
        outcome = outcome.and(app.catch_up().await);
        if nodes_written.elapsed() >= NODES_EVERY {
            nodes_written = Instant::now();
            outcome = outcome.and(save_nodes(&app, now).await);
        }
        if trimmed.elapsed() >= TRIM_EVERY {
            trimmed = Instant::now();
            outcome = outcome.and(trim(&app, now, false).await);
        }
        match outcome {
            Ok(()) => failing = false,
            // Once per outage: at four ticks a second the log would drown.
            Err(error) if !failing => {
                failing = true;
                tracing::error!(%error, "the store fails; what changed is kept in memory and tried again");
            }
            Err(_) => {}
        }
    }
}

/// Says once when the selector hears too little, and once when it hears enough again.
fn said(hearing: Hearing, isolated: bool) -> bool {
    let Hearing { heard, known } = hearing;
    match (hearing.isolated(), isolated) {
        (true, false) => tracing::error!(
            heard,
            known,
            "less than half of the edges are heard: the fault is more likely here; their last state stays in use"
        ),
        (false, true) => tracing::info!(heard, known, "enough edges are heard again"),
        _ => {}
    }
    hearing.isolated()
}

/// Writes down which nodes there are.
pub(crate) async fn save_nodes(app: &App, now: u64) -> Result<(), StoreError> {
    for (heartbeat, silent_ms, gone) in app.roster.heard() {
        let kept = app.store.save_node(&heartbeat, now.saturating_sub(silent_ms), gone).await?;
        app.roster.remember(&heartbeat.id, kept);
    }
    Ok(())
}

/// Lets go of what is past its bounds; `restarted` also of writes that the last process left in flight.
pub(crate) async fn trim(app: &App, now: u64, restarted: bool) -> Result<(), StoreError> {
    app.store.trim_writes(now, restarted).await?;
    app.store.trim_feed(now).await?;
    app.store.trim_operations().await?;
    app.store.trim_nodes(now).await?;
    app.store.trim_maintenance(now).await?;
    app.store.trim_audit().await
}
