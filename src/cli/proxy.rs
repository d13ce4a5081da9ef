//! `kromka proxy`: one edge as a caching reverse proxy before any HTTP server; no token, no file to write.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use kromka_config::{
    Access, ByteSize, CacheConfig, Content, DiskConfig, EdgeConfig, ListenConfig, LogConfig, LogFormat,
    NodeConfig, Secret, ServiceConfig, TlsConfig, UpstreamConfig,
};
use url::Url;

use super::exit::Usage;
use super::signals;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Where to listen, for example 127.0.0.1:8080; port 0 is a free one
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// The HTTP server behind
    #[arg(long, value_name = "URL")]
    to: Url,
    /// Where to keep the cache over restarts; in memory only if not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Disk that the cache may take, with --data
    #[arg(long, value_name = "SIZE", default_value = "10GiB", requires = "data")]
    disk: ByteSize,
    /// Memory that the cache may take
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    memory: ByteSize,
    /// Certificate chain; with it the listener speaks TLS
    #[arg(long, value_name = "PEM", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "PEM", requires = "cert")]
    key: Option<PathBuf>,
    /// What is logged on stderr: a level, or a list such as info,kromka_cache=debug
    #[arg(long, value_name = "FILTER", env = "KROMKA_LOG", default_value = "warn")]
    log: String,
}

pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let log = LogConfig { level: args.log.clone(), format: LogFormat::Text };
    kromka_telemetry::init_logs(&log).map_err(|error| Usage(format!("--log: {error}")))?;
    let stop = signals::stop()?;
    // The node's own folder holds nothing here, but it has to be somewhere.
    let scratch = std::env::temp_dir().join(format!("kromka-proxy-{}", std::process::id()));
    let state = args.data.clone().unwrap_or_else(|| scratch.clone());
    let running = kromka_edge::start(config(&args, state)?).await?;
    let url = running.tls_url.as_ref().unwrap_or(&running.url);
    super::say(format_args!(
        "kromka: {url} is {} with a cache; metrics at {}metrics",
        args.to, running.admin
    ));
    stop.await;
    running.drain().await;
    if args.data.is_none() {
        // Left over at worst.
        let _ = std::fs::remove_dir_all(scratch);
    }
    Ok(ExitCode::SUCCESS)
}

/// The edge that this command line means.
fn config(args: &Args, state: PathBuf) -> Result<EdgeConfig> {
    if !matches!(args.to.scheme(), "http" | "https") || args.to.host().is_none() {
        return Err(
            Usage(format!("--to {}: allowed is http://HOST[:PORT] or https://HOST[:PORT]", args.to)).into()
        );
    }
    let mut random = [0_u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut random))
        .context("the system gives no random numbers")?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // A name of its own: a proxy behind a proxy is no loop.
    let mut node = NodeConfig::new(format!("proxy-{}", &token[..8]), Secret::new(token.clone()));
    let disk = |data: &PathBuf| DiskConfig { path: data.join("cache"), size: args.disk, weight: 100 };
    let disk = args.data.iter().map(disk).collect();
    node.data = state;
    let listen = match args.cert {
        Some(_) => ListenConfig { http: None, https: Some(args.listen) },
        None => ListenConfig { http: Some(args.listen), https: None },
    };
    let mut service = ServiceConfig::new("proxy");
    service.content = Content::Web;
    service.access = Access::Public;
    let mut admin = kromka_config::AdminConfig::default();
    admin.listen.set_port(0);
    Ok(EdgeConfig {
        node,
        listen,
        tls: TlsConfig { certificate: args.cert.clone(), key: args.key.clone(), self_signed: None },
        limits: kromka_config::Limits::default(),
        admin,
        cache: CacheConfig { memory: args.memory, disk, ..CacheConfig::default() },
        shield: UpstreamConfig { urls: vec![args.to.clone()], plain: true, ..UpstreamConfig::default() },
        siblings: kromka_config::SiblingsConfig::default(),
        live: kromka_config::LiveConfig::default(),
        selector: kromka_config::SelectorRef::default(),
        probe: kromka_config::ProbeConfig::default(),
        service: vec![service],
        keys: None,
        log: LogConfig::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::arguments;

    fn parse(line: &str) -> Result<EdgeConfig> {
        let args = arguments(&line.split(' ').skip(1).collect::<Vec<_>>())?;
        config(&args, PathBuf::from("/state"))
    }

    #[test]
    fn one_line_is_a_whole_edge() {
        let edge =
            parse("proxy --listen 127.0.0.1:0 --to http://127.0.0.1:8000 --data /d --disk 1GiB").unwrap();
        assert_eq!(edge.shield.urls[0].as_str(), "http://127.0.0.1:8000/");
        assert_eq!(edge.cache.disk[0].path, PathBuf::from("/d/cache"));
        assert!(edge.listen.http.is_some() && edge.listen.https.is_none());
        let edge = parse("proxy --listen 127.0.0.1:0 --to http://a --cert c.pem --key k.pem").unwrap();
        assert!(edge.listen.http.is_none() && edge.listen.https.is_some());
    }

    #[test]
    fn what_makes_no_proxy_is_said() {
        for (line, word) in [
            ("proxy --listen 127.0.0.1:0 --to ftp://a", "allowed"),
            ("proxy --listen 127.0.0.1:0 --to http://a --cert c.pem", "--key"),
            ("proxy --listen nowhere --to http://a", "--listen"),
        ] {
            let error = parse(line).err().unwrap();
            assert!(format!("{error:#}").contains(word), "{line}: {error:#}");
        }
    }
}
