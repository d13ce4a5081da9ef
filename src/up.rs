//! `kromka up`: the whole CDN on one machine, in one process, for the first play.
//!
//! It writes real configuration files into its data folder and starts the roles from them, the same
//! way separate processes would: what plays here can be taken apart there.
//!
//! - [`folder`] the data folder: who owns it, its secrets;
//! - [`media`] what is served: a folder, a bucket, or the sample that the binary carries;
//! - [`configs`] the configuration of each role;
//! - [`ready`] what is told when all is up.

mod configs;
mod folder;
mod media;
mod ready;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kromka_control::{Api, NodeState, SessionRequest};
use url::Url;

use folder::Folder;
use media::Media;
use ready::{EdgeReady, NodeReady, Ready};

/// How long the roles may take to find each other.
const FIND_EACH_OTHER: Duration = Duration::from_secs(20);
/// The printed URL plays for this long; it may be opened for as long as `sessions.start` of the selector's
/// configuration says, a day: this is one's own machine.
const PLAY_S: u64 = 24 * 3600;

/// What `kromka up` can be told; nothing has to be.
#[derive(clap::Args, Debug)]
pub(crate) struct UpArgs {
    /// A folder with HLS, or s3://bucket/prefix (keys from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    /// AWS_REGION and AWS_ENDPOINT_URL); a small sample by default
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX")]
    media: Option<String>,
    /// Where to listen; a port is the selector's, all others are free ones
    #[arg(long, value_name = "IP[:PORT]", default_value = "127.0.0.1", value_parser = listen)]
    listen: SocketAddr,
    /// How many edges
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    edges: u8,
    /// Where caches, keys and state are kept; a second start there is warm [default: a folder of its own
    /// under the user's state folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Written when all is up: a JSON object with every URL and the API token
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// The playlist to begin with; found by looking if not given
    #[arg(long, value_name = "/PATH.m3u8")]
    asset: Option<String>,
}

/// `IP`, `IP:PORT` or `[IPv6]:PORT`.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let ip = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>();
    text.parse()
        .or_else(|_| ip(text).map(|ip| SocketAddr::new(ip, 0)))
        .or_else(|_| {
            if text == "localhost" { Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)) } else { Err(()) }
        })
        .map_err(|()| {
            format!("{text} is no address to listen on; allowed: an IP address, with :PORT if you like")
        })
}

/// The roles, in the order they are drained.
struct Roles {
    edges: Vec<kromka_edge::Running>,
    origin: kromka_origin::Running,
    selector: kromka_selector::Running,
}

/// Starts everything, tells where it is, and drains when `stop` comes.
///
/// # Errors
/// What could not be started, in words that say what to do.
pub(crate) async fn run(args: UpArgs, stop: impl Future<Output = ()>) -> Result<()> {
    if let Some(file) = &args.ready_file {
        ready::remove(file)?;
    }
    let folder = Folder::open(args.data.as_deref())?;
    let media = Media::of(args.media.as_deref(), &folder)?;
    tokio::pin!(stop);
    let started = tokio::select! {
        started = start(&args, &folder, &media) => started?,
        () = &mut stop => return Ok(()),
    };
    let (roles, ready) = started;
    ready.print(&media);
    if let Some(file) = &args.ready_file {
        ready.write(file)?;
    }
    stop.await;
    eprintln!("kromka: draining; once more to stop at once");
    for edge in roles.edges {
        edge.drain().await;
    }
    roles.origin.drain().await;
    roles.selector.drain().await;
    Ok(())
}

async fn start(args: &UpArgs, folder: &Folder, media: &Media) -> Result<(Roles, Ready)> {
    let conf = configs::Configs { folder, media, ip: args.listen.ip(), edges: args.edges };
    let selector =
        kromka_selector::start(kromka_config::load_selector(&conf.selector(args.listen.port())?)?).await?;
    let settings = kromka_config::load_origin(&conf.origin(&selector.url)?).with_context(|| media.told())?;
    let origin = kromka_origin::start(settings).await.with_context(|| media.told())?;
    let mut edges = Vec::new();
    for n in 1..=args.edges {
        edges.push(edge(&conf, n, &selector.url, &origin.url, edges.first()).await?);
    }

    let api = Api::new(selector.url.clone(), Some(folder.api_token().to_owned()), Default::default())?;
    all_up(&api, usize::from(args.edges) + 1).await?;
    let asset = match &args.asset {
        Some(asset) => Some(asset.clone()),
        None => media.asset(&origin).await?,
    };
    let master_url = match &asset {
        Some(asset) => Some(session(&api, asset).await?),
        None => None,
    };
    let ready = Ready {
        player: player(&selector.url, folder.api_token(), asset.as_deref(), media.is_sample())?,
        console: selector.url.clone(),
        selector: selector.url.clone(),
        master_url,
        origin: NodeReady { url: origin.url.clone(), admin: origin.admin.clone() },
        edges: edges
            .iter()
            .map(|edge| EdgeReady {
                name: edge.id.clone(),
                url: edge.url.clone(),
                tls_url: edge.tls_url.clone(),
                admin: edge.admin.clone(),
            })
            .collect(),
        dns: selector.dns.first().copied(),
        api_token: folder.api_token().to_owned(),
        tls_certificate: folder.tls().join("cert.pem"),
        data_dir: folder.path().to_owned(),
    };
    Ok((Roles { edges, origin, selector }, ready))
}

/// Starts an edge: on the loopback at an address of its own with the ports of the first, so that nothing but the host
/// of their URLs differs, as with edges in the world, and a steering document can name all; else at a port of its own.
async fn edge(
    conf: &configs::Configs<'_>,
    n: u8,
    selector: &Url,
    shield: &Url,
    first: Option<&kromka_edge::Running>,
) -> Result<kromka_edge::Running> {
    let ports = |first: &kromka_edge::Running| Some([first.url.port()?, first.tls_url.as_ref()?.port()?]);
    if conf.ip == IpAddr::V4(Ipv4Addr::LOCALHOST)
        && let Some(ports) = first.and_then(ports)
    {
        let ip = Ipv4Addr::new(127, 0, 0, n).into();
        let file = conf.edge(n, ip, ports, selector, shield)?;
        // Another process may be there, and not every system has more than one such address.
        if let Ok(edge) = kromka_edge::start(kromka_config::load_edge(&file)?).await {
            return Ok(edge);
        }
    }
    let file = conf.edge(n, conf.ip, [0, 0], selector, shield)?;
    Ok(kromka_edge::start(kromka_config::load_edge(&file)?).await?)
}

/// Waits until the selector has heard of every node.
async fn all_up(api: &Api, count: usize) -> Result<()> {
    let deadline = tokio::time::Instant::now() + FIND_EACH_OTHER;
    loop {
        let up = api.nodes().await?.iter().filter(|node| node.state == NodeState::Up).count();
        if up >= count {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            bail!(
                "only {up} of {count} nodes reported to the selector within {FIND_EACH_OTHER:?}; the log above says why"
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn session(api: &Api, asset: &str) -> Result<String> {
    let request = SessionRequest {
        service: configs::SERVICE.to_owned(),
        asset: asset.to_owned(),
        subject: "up".to_owned(),
        client_ip: None,
        max_height: None,
        max_bitrate: None,
        duration_s: None,
        ttl_s: Some(PLAY_S),
        start_ttl_s: None,
        bind_ip: false,
    };
    let answer = api.sessions_create(&request).await.with_context(|| format!("no session for {asset}"))?;
    Ok(answer.master_url)
}

/// The page; what it must not tell others stands in the fragment, which no browser sends.
fn player(selector: &Url, token: &str, asset: Option<&str>, sample: bool) -> Result<Url> {
    let mut url = selector.join("/player")?;
    let mut fragment = url::form_urlencoded::Serializer::new(String::new());
    fragment.append_pair("token", token).append_pair("service", configs::SERVICE);
    if let Some(asset) = asset {
        fragment.append_pair("asset", asset);
    }
    if sample {
        fragment.append_pair("samples", "1");
    }
    url.set_fragment(Some(&fragment.finish()));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_takes_an_address_with_or_without_port() {
        for (text, want) in [
            ("127.0.0.1", "127.0.0.1:0"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("::1", "[::1]:0"),
            ("[::1]:80", "[::1]:80"),
            ("localhost", "127.0.0.1:0"),
        ] {
            assert_eq!(listen(text).unwrap().to_string(), want);
        }
        assert!(listen("example").unwrap_err().contains("allowed"));
    }

    #[test]
    fn the_token_stands_in_the_fragment_only() {
        let url = player(&"http://127.0.0.1:1/".parse().unwrap(), "a+b", Some("/x.m3u8"), true).unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:1/player#token=a%2Bb&service=default&asset=%2Fx.m3u8&samples=1"
        );
    }
}
