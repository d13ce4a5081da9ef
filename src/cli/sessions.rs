//! `kromka sessions create`: a viewer's right to play one asset, as a backend would ask for it.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use kromka_control::SessionRequest;

use super::output::{Output, say};
use super::remote::{Remote, explained};
use super::time;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Create a playback session and print the URL to play
    Create(Create),
}

#[derive(clap::Args, Debug)]
struct Create {
    /// The service that publishes the asset
    #[arg(long, value_name = "ID", default_value = "default")]
    service: String,
    /// The path of its multivariant playlist, for example /stream/demo/master.m3u8
    #[arg(long, value_name = "/PATH")]
    asset: String,
    /// The viewer, pseudonymous
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// Where the viewer is, so that a near edge is chosen; the session is not bound to it
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
    /// No variant taller than this
    #[arg(long, value_name = "PIXELS")]
    max_height: Option<u32>,
    /// No variant above this
    #[arg(long, value_name = "BITS_PER_SECOND")]
    max_bitrate: Option<u64>,
    /// How long the content is: seconds, or 90m, 2h
    #[arg(long, value_name = "TIME", value_parser = time::seconds)]
    duration: Option<u64>,
    /// How long the session lasts, whatever --duration says: seconds, or 5m, 2h
    #[arg(long, value_name = "TIME", value_parser = time::seconds)]
    ttl: Option<u64>,
}

pub(super) async fn run(args: Args, remote: &Remote, output: Output) -> Result<ExitCode> {
    let Verb::Create(create) = args.verb;
    let request = SessionRequest {
        service: create.service,
        asset: create.asset,
        subject: create.subject,
        client_ip: create.client_ip,
        max_height: create.max_height,
        max_bitrate: create.max_bitrate,
        duration_s: create.duration,
        ttl_s: create.ttl,
        start_ttl_s: None,
        bind_ip: false,
    };
    let session = remote.api()?.sessions_create(&request).await.map_err(explained)?;
    output.show(&session, |session| session.master_url.clone())?;
    say(format_args!(
        "session {}: start until {}, ends {}, {} more edges to fail over to",
        session.session_id,
        session.start_expires_at,
        session.expires_at,
        session.alternates.len()
    ));
    Ok(ExitCode::SUCCESS)
}
