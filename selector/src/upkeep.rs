//! What has to be done although nobody asks: silence judged, changes written, the old let go.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    app::App,
    store::{StoreError, door::now_ms},
};

/// Between two looks at the roster and the operations.
const TICK: Duration = Duration::from_millis(250);

/// Between two writings of when nodes were last heard.
const NODES_EVERY: Duration = Duration::from_secs(60);

/// Between two trimmings of the store.
const TRIM_EVERY: Duration = Duration::from_secs(3_600);

/// Runs until the selector stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut nodes_written = Instant::now();
    let mut trimmed = Instant::now();
    let mut failing = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.stop.cancelled() => return,
        }
        app.roster.tick();
        let now = now_ms();
        app.tracker.lost(&app.roster.down(), now);
        let mut outcome = app.tracker.save(now, false).await;
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
                tracing::error!(%error, "the store cannot be written; what changed is kept in memory and tried again");
            }
            Err(_) => {}
        }
    }
}

/// Writes down which nodes there are.
pub(crate) async fn save_nodes(app: &App, now: u64) -> Result<(), StoreError> {
    for (heartbeat, silent_ms, gone) in app.roster.heard() {
        app.store.save_node(&heartbeat, now.saturating_sub(silent_ms), gone).await?;
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
