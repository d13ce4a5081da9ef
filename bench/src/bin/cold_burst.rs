//! Many viewers of one cold segment at one server: how often it asks upstream, and when first bytes come.
//!
//! Two scenes, each beside nginx with its cache lock, Varnish and Traffic Server. "At once": all ask while the
//! source still thinks, and wait for its first byte; they read on when everybody has one. "Arriving": they come
//! one after the other while the source sends slowly. A viewer is late by the time between when its first byte
//! could have come (the leader has one, and the viewer has asked) and when it did. A server that serves the leader
//! last has nobody late; so it is also told how long after anybody's first byte a viewer got one ("behind").

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use kromka_bench::facts::Facts;
use kromka_bench::frame::{Evidence, Place};
use kromka_bench::peers::kromka::Edge;
use kromka_bench::peers::nginx::Nginx;
use kromka_bench::peers::trafficserver::{self, TrafficServer};
use kromka_bench::peers::varnish::{self, Varnish};
use kromka_bench::peers::{Peer, Upstream};
use kromka_bench::quantile::{median, quantile};
use kromka_bench::report::Report;
use kromka_bench::source::{self, Pace, Source};
use kromka_bench::table::{Table, number};
use kromka_bench::viewers::{Crowd, Sight};
use kromka_bench::world::World;
use kromka_bench::{cpu, process};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

const WHAT: &str = "Many viewers of one cold segment at one server, connected before they ask; the cache fills \
    from a source that counts. Server on one core, viewers and source on the other. Times in milliseconds, \
    medians of the rounds; late = first byte after both the leader's and the own request; behind = after both \
    anybody's and the own request.";

/// Many viewers of one cold segment: requests upstream, and times to first byte.
#[derive(Parser)]
struct Args {
    /// How many viewers.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    viewers: u32,
    /// Bytes of the segment.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..=16_000_000))]
    bytes: u64,
    /// Milliseconds from the source's request to its head.
    #[arg(long, default_value_t = 500)]
    delay_ms: u64,
    /// Milliseconds over which viewers of the scene "arriving" come, while the source sends the segment.
    #[arg(long, default_value_t = 20_000)]
    arriving_ms: u64,
    /// Runs of each server and scene.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Only the scene whose name contains this: "at once", "arriving".
    #[arg(long, default_value = "")]
    scene: String,
    /// The peers: nginx, varnish, trafficserver, or none of them.
    #[arg(long, value_delimiter = ',', default_value = "nginx,varnish,trafficserver")]
    peers: Vec<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    evidence: Evidence,
}

struct Scene {
    name: &'static str,
    spread: Duration,
    hold: Duration,
    pace: Pace,
}

/// One run of one server.
#[derive(Clone, Debug, Serialize)]
struct Burst {
    scene: &'static str,
    peer: &'static str,
    /// Requests that reached the source.
    upstream: u64,
    /// From the leader's request to its first byte, in milliseconds, as everything below.
    leader: f64,
    /// From a follower's request to its first byte: median and 99th percentile.
    first_p50: f64,
    first_p99: f64,
    /// How late a follower's first byte was.
    late_p50: f64,
    late_p99: f64,
    /// How long after anybody's first byte a viewer's came, the leader among them.
    behind_p99: f64,
    /// From the first request to the last byte of all viewers.
    whole: f64,
    /// CPU time of the server, in seconds.
    cpu_s: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let binary = args.place.begin(args.viewers)?;
    process::stay_on(args.place.load_core)?;
    let facts = Facts::gather(&binary);
    let world = World::new()?;
    let source = Source::start()?;
    let core = Some(args.place.server_core);
    let edge = Edge::start(&binary, &world.room("edge")?, source.addr(), core)?;
    let upstream = Upstream { addr: source.addr(), prefix: String::new() };
    let mut others: Vec<Box<dyn Peer>> = Vec::new();
    let mut settings = vec![
        ("viewers", args.viewers.to_string()),
        ("bytes of the segment", args.bytes.to_string()),
        ("source: first byte after", format!("{} ms", args.delay_ms)),
        ("arriving: viewers come, and the source sends, over", format!("{} ms", args.arriving_ms)),
        ("rounds", args.rounds.to_string()),
        ("bar", "1 request upstream; arriving: followers late by at most 5 ms at p99".to_owned()),
    ];
    for name in args.peers.iter().filter(|name| !name.is_empty()) {
        let room = world.room(name)?;
        match name.as_str() {
            "nginx" => {
                others.push(Box::new(Nginx::start("nginx", &room, &upstream, &edge.certificate(), core)?));
                settings.push(("nginx", "settings of bench/src/peers/nginx.conf".to_owned()));
            }
            "varnish" => {
                others.push(Box::new(Varnish::start(&room, &upstream, core)?));
                settings.push(("Varnish", varnish::version()));
            }
            "trafficserver" => {
                others.push(Box::new(TrafficServer::start(&room, &upstream, core)?));
                settings.push(("Traffic Server", trafficserver::version()));
            }
            other => bail!("no peer `{other}`; there are nginx, varnish, trafficserver"),
        }
    }
    let peers: Vec<&dyn Peer> =
        [&edge as &dyn Peer].into_iter().chain(others.iter().map(|peer| &**peer)).collect();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut bursts = Vec::new();
    for scene in scenes(&args) {
        for round in 0..args.rounds {
            for peer in &peers {
                let name = format!("{}, {}, round {round}", scene.name, peer.name());
                let burst = runtime
                    .block_on(burst(&scene, *peer, round, &source, &args))
                    .with_context(|| name.clone())?;
                eprintln!(
                    "{name}: {} upstream, late p99 {} ms, behind p99 {} ms",
                    burst.upstream,
                    number(burst.late_p99),
                    number(burst.behind_p99)
                );
                bursts.push(burst);
            }
        }
    }

    let tables = table(&bursts);
    let report = Report {
        name: "cold-burst",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &bursts,
    };
    args.evidence.tell(&report)
}

fn scenes(args: &Args) -> Vec<Scene> {
    let delay = Duration::from_millis(args.delay_ms);
    let arriving = Duration::from_millis(args.arriving_ms);
    let scenes = [
        Scene {
            name: "at once",
            spread: Duration::ZERO,
            hold: Duration::from_secs(30),
            pace: Pace { delay, body: Duration::ZERO },
        },
        Scene {
            name: "arriving",
            spread: arriving,
            hold: Duration::ZERO,
            pace: Pace { delay, body: arriving },
        },
    ];
    scenes.into_iter().filter(|scene| scene.name.contains(&args.scene)).collect()
}

async fn burst(scene: &Scene, peer: &dyn Peer, round: u32, source: &Source, args: &Args) -> Result<Burst> {
    source.pace(scene.pace);
    let name = format!("{} {}", scene.name, peer.name()).replace(' ', "-");
    let path = format!("/cold/{name}-{round}-{}.ts", args.bytes);
    let hash = xxh3_64(source::body(&path).context("no such object")?);
    let crowd = Crowd {
        server: peer.http(),
        path,
        viewers: usize::try_from(args.viewers)?,
        spread: scene.spread,
        hold: scene.hold,
    };
    let requests = source.requests();
    let mut used = Ok(Duration::ZERO);
    let sights = crowd.watch(|| used = cpu::of_tree(peer.pid())).await?;
    let used = cpu::of_tree(peer.pid())?.saturating_sub(used?);
    for sight in &sights {
        ensure!(sight.status == 200, "a viewer got {}", sight.status);
        ensure!(sight.bytes == args.bytes && sight.hash == hash, "a viewer got wrong bytes");
    }
    let upstream = source.requests() - requests;
    // In the order of asking: whoever asks first is who the cache goes upstream for.
    let (leader, followers) = sights.split_first().context("no viewers")?;
    let since = |sight: &Sight| ms(sight.first - sight.asked);
    let firsts: Vec<f64> = followers.iter().map(since).collect();
    let late: Vec<f64> =
        followers.iter().map(|sight| ms(sight.first - leader.first.max(sight.asked))).collect();
    let earliest = sights.iter().map(|sight| sight.first).min().context("no viewers")?;
    let behind: Vec<f64> = sights.iter().map(|sight| ms(sight.first - earliest.max(sight.asked))).collect();
    let at = |values: &[f64], share| quantile(values, share).context("no followers");
    let begun = sights.iter().map(|sight| sight.asked).min().context("no viewers")?;
    let ended = sights.iter().map(|sight| sight.last).max().context("no viewers")?;
    Ok(Burst {
        scene: scene.name,
        peer: peer.name(),
        upstream,
        leader: since(leader),
        first_p50: at(&firsts, 0.5)?,
        first_p99: at(&firsts, 0.99)?,
        late_p50: at(&late, 0.5)?,
        late_p99: at(&late, 0.99)?,
        behind_p99: at(&behind, 0.99)?,
        whole: ms(ended - begun),
        cpu_s: used.as_secs_f64(),
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn table(bursts: &[Burst]) -> String {
    let heads = [
        "scene",
        "server",
        "upstream",
        "leader",
        "first p50",
        "first p99",
        "late p50",
        "late p99",
        "behind p99",
        "whole",
        "CPU s",
    ];
    let mut table = Table::new(&heads);
    let mut done = Vec::new();
    for burst in bursts {
        let row = (burst.scene, burst.peer);
        if done.contains(&row) {
            continue;
        }
        done.push(row);
        let runs: Vec<&Burst> = bursts.iter().filter(|run| (run.scene, run.peer) == row).collect();
        let middle = |value: fn(&Burst) -> f64| {
            let values: Vec<f64> = runs.iter().map(|run| value(run)).collect();
            number(median(&values).unwrap_or_default())
        };
        // The worst, not the middle: a second request upstream is a fault, not a matter of luck.
        let upstream = runs.iter().map(|run| run.upstream).max().unwrap_or_default();
        table.line([
            burst.scene.to_owned(),
            burst.peer.to_owned(),
            upstream.to_string(),
            middle(|run| run.leader),
            middle(|run| run.first_p50),
            middle(|run| run.first_p99),
            middle(|run| run.late_p50),
            middle(|run| run.late_p99),
            middle(|run| run.behind_p99),
            middle(|run| run.whole),
            middle(|run| run.cpu_s),
        ]);
    }
    table.markdown()
}
