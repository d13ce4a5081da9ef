//! kromka: a CDN for HLS in one binary.
//!
//! One life story: arguments, configuration, runtime, run, drain. `cli` reads the command line and knows every
//! verb; `up` is the verb that starts all roles in one process. Only this file turns an error into words and an
//! exit code.

mod cli;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

/// Many threads allocate and free buffers of all sizes for weeks: jemalloc keeps that from fragmenting.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long work that cannot be interrupted (a disk that does not answer) may hold up the end.
const LAST_WORK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::say(format_args!("kromka: the system gives no threads ({error}); look at `ulimit -u`"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(cli.run());
    runtime.shutdown_timeout(LAST_WORK);
    ended.unwrap_or_else(|error| {
        cli::say(format_args!("kromka: {error:#}"));
        cli::exit_code(&error)
    })
}
