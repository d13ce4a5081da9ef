//! `kromka edge|origin|selector --config FILE`: one role, from its configuration to its drain.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use kromka_config::{ConfigError, Span};
use url::Url;

use super::exit::CONFIG;
use super::output::say;
use super::signals;

/// What a drain may take past `limits.drain`: a goodbye to the selectors, the admin listener, closing the cache.
const BEYOND_DRAIN: Duration = Duration::from_secs(15);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The configuration; config/ in the repository holds a commented sample of each role
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs an edge until it is told to stop.
pub(super) async fn edge(args: Args) -> Result<ExitCode> {
    let config = match kromka_config::load_edge(&args.config) {
        Ok(config) => config,
        Err(error) => return Ok(unusable(&args.config, &error)),
    };
    kromka_telemetry::init_logs(&config.log)?;
    let (stop, drain) = (signals::stop()?, config.limits.drain);
    let Some(running) = unless(stop, kromka_edge::start(config)).await else { return Ok(ExitCode::SUCCESS) };
    let (running, stop) = running?;
    tell(&format!("edge {}", running.id), &running.url, running.tls_url.as_ref(), &running.admin);
    stop.await;
    drained(drain, running.drain()).await
}

/// Runs an origin until it is told to stop.
pub(super) async fn origin(args: Args) -> Result<ExitCode> {
    let config = match kromka_config::load_origin(&args.config) {
        Ok(config) => config,
        Err(error) => return Ok(unusable(&args.config, &error)),
    };
    kromka_telemetry::init_logs(&config.log)?;
    let (stop, drain) = (signals::stop()?, config.limits.drain);
    let Some(running) = unless(stop, kromka_origin::start(config)).await else {
        return Ok(ExitCode::SUCCESS);
    };
    let (running, stop) = running?;
    tell(&format!("origin {}", running.id), &running.url, running.tls_url.as_ref(), &running.admin);
    stop.await;
    drained(drain, running.drain()).await
}

/// Runs a selector until it is told to stop.
pub(super) async fn selector(args: Args) -> Result<ExitCode> {
    let config = match kromka_config::load_selector(&args.config) {
        Ok(config) => config,
        Err(error) => return Ok(unusable(&args.config, &error)),
    };
    kromka_telemetry::init_logs(&config.log)?;
    let (stop, drain) = (signals::stop()?, config.limits.drain);
    let Some(running) = unless(stop, kromka_selector::start(config)).await else {
        return Ok(ExitCode::SUCCESS);
    };
    let (running, stop) = running?;
    tell("selector", &running.url, running.tls_url.as_ref(), &running.admin);
    stop.await;
    drained(drain, running.drain()).await
}

/// What was started, and the signal that has not come yet; nothing if it came first.
async fn unless<R, E>(
    stop: impl Future<Output = ()>,
    start: impl Future<Output = Result<R, E>>,
) -> Option<Result<(R, impl Future<Output = ()>), E>> {
    let mut stop = Box::pin(stop);
    tokio::select! {
        started = start => Some(started.map(|running| (running, stop))),
        () = &mut stop => None,
    }
}

/// All mistakes of a configuration, not only the one that the start met first.
fn unusable(file: &Path, first: &ConfigError) -> ExitCode {
    let errors = kromka_config::check(file).err().unwrap_or_default();
    // Sound or not, it may also be of another role, which only the start knows.
    if !errors.contains(first) {
        say(format_args!("{first}"));
    }
    errors.iter().for_each(|error| say(format_args!("{error}")));
    ExitCode::from(CONFIG)
}

fn tell(who: &str, url: &Url, tls_url: Option<&Url>, admin: &Url) {
    let tls = tls_url.filter(|tls| *tls != url).map(|tls| format!(" and {tls}")).unwrap_or_default();
    say(format_args!("kromka: {who} listens on {url}{tls}, for operators on {admin}"));
}

async fn drained(drain: Span, end: impl Future<Output = ()>) -> Result<ExitCode> {
    say(format_args!("kromka: draining for at most {drain}; once more to stop at once"));
    if tokio::time::timeout(drain.get().saturating_add(BEYOND_DRAIN), end).await.is_err() {
        say(format_args!(
            "kromka: the drain took longer than {drain} and {BEYOND_DRAIN:?}; what was left is cut"
        ));
    }
    Ok(ExitCode::SUCCESS)
}
