//! SIGINT and SIGTERM: the first asks for a kind end, the second ends at once.

use std::future::Future;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::exit::INTERRUPTED;
use super::output::say;

/// Resolves at the first signal. A second one, at any time after, ends the process with 130, whatever hangs.
///
/// # Errors
/// When the system does not let the process listen.
pub(super) fn stop() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("signals cannot be listened to");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        // Nobody hears it when the run has ended by itself.
        let _ = tell.send(());
        either(&mut interrupt, &mut terminate).await;
        say(format_args!("kromka: stopped at once; what was under way is cut"));
        std::process::exit(i32::from(INTERRUPTED));
    });
    Ok(async move {
        let _ = told.await;
    })
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
