//! Parts of objects: what the last byte of a cold 10 GB object costs the source, and what 64 kB out of a cached
//! segment cost the server; beside nginx with its slices.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kromka_bench::client::Client;
use kromka_bench::facts::Facts;
use kromka_bench::frame::{Evidence, Http, Place};
use kromka_bench::load::wrk;
use kromka_bench::measure::{self, Row, Run, Unit};
use kromka_bench::peers::kromka::Edge;
use kromka_bench::peers::nginx::Nginx;
use kromka_bench::peers::{Peer, Upstream};
use kromka_bench::report::Report;
use kromka_bench::source::Source;
use kromka_bench::table::{Table, number};
use kromka_bench::world::World;
use serde::Serialize;

const WHAT: &str = "Parts of objects, an edge beside nginx with slices of 1 MiB. First what cold parts of a 10 GB \
    object cost the source; then the CPU time of the server for 64 kB out of a cached segment of 4 MB: server on \
    one core, load tool on the other, runs interleaved, medians; the ratio is ours by theirs.";

/// The object that nobody has.
const LARGE: &str = "/large/NAME-10000000000.ts";
/// The segment that both have.
const SEGMENT: &str = "/bench/4m.ts";

/// Parts of cold and cached objects: bytes from the source, and CPU time.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    http: Http,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    evidence: Evidence,
}

/// A part of the cold object, and what it took.
#[derive(Clone, Debug, Serialize)]
struct Cold {
    range: &'static str,
    peer: &'static str,
    /// Bytes of bodies that the source sent.
    source_bytes: u64,
    /// Requests that it got.
    source_requests: u64,
    first_byte_ms: f64,
}

#[derive(Serialize)]
struct Numbers {
    cold: Vec<Cold>,
    warm: Vec<Row>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let binary = args.place.begin(args.http.connections)?;
    let facts = Facts::gather(&binary);
    let world = World::new()?;
    let source = Source::start()?;
    let core = Some(args.place.server_core);
    let edge = Edge::start(&binary, &world.room("edge")?, source.addr(), core)?;
    let upstream = Upstream { addr: source.addr(), prefix: String::new() };
    let nginx = Nginx::start_sliced("nginx", &world.room("nginx")?, &upstream, &edge.certificate(), core)?;

    let mut cold = Vec::new();
    for (range, length) in [("bytes=-1", 1), ("bytes=5000000000-5000065535", 65_536)] {
        for peer in [&edge as &dyn Peer, &nginx] {
            cold.push(of_the_cold(peer, range, length, &source)?);
        }
    }
    let warm = of_the_cached(&edge, &nginx, &args, &world)?;

    let warm = vec![warm];
    let tables = format!("{}\n{}", cold_table(&cold), measure::table("nginx", &warm, &[])?);
    let mut settings = args.http.settings();
    settings.extend([
        ("block of the edge", "256 KiB".to_owned()),
        ("bars", "at most 2 blocks from the source; 64 kB of 4 MB: 0.6".to_owned()),
        ("nginx", "settings of bench/src/peers/nginx.conf, with slices".to_owned()),
    ]);
    let numbers = Numbers { cold, warm };
    let report = Report {
        name: "ranges",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &numbers,
    };
    args.evidence.tell(&report)
}

/// Asks for a part of an object that the server has never seen, and waits until the source is at rest.
fn of_the_cold(peer: &dyn Peer, range: &'static str, length: u64, source: &Source) -> Result<Cold> {
    let path = LARGE.replace("NAME", &format!("{}-{}", peer.name(), range.replace(['=', '-'], "")));
    let before = (source.bytes(), source.requests());
    let answer = Client::connect(peer.http())?.ask(&path, Some(range)).with_context(|| peer.name())?;
    ensure!(answer.status == 206 && answer.bytes == length, "{}: {}", peer.name(), answer.head.line);
    // What a server still takes for its cache belongs to the answer.
    let mut last = source.bytes();
    loop {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = source.bytes();
        if now == last {
            break;
        }
        last = now;
    }
    Ok(Cold {
        range,
        peer: peer.name(),
        source_bytes: last - before.0,
        source_requests: source.requests() - before.1,
        first_byte_ms: answer.first_byte.as_secs_f64() * 1e3,
    })
}

fn of_the_cached(edge: &Edge, nginx: &Nginx, args: &Args, world: &World) -> Result<Row> {
    let path = SEGMENT.replace("4m", "1-4000000");
    let range = "bytes=2000000-2065535";
    for peer in [edge as &dyn Peer, nginx] {
        for _ in 0..3 {
            let answer = Client::connect(peer.http())?.ask(&path, Some(range))?;
            ensure!(answer.status == 206 && answer.bytes == 65_536, "{}: {}", peer.name(), answer.head.line);
        }
    }
    let run = |peer: &&dyn Peer, seconds| {
        let mut order = args.http.order(format!("http://{}{path}", peer.http()), seconds, &args.place);
        order.field = Some(format!("Range: {range}"));
        Run::of(peer.pid(), || wrk::load(&order, world.path()))
    };
    let pair = [edge as &dyn Peer, nginx];
    args.http.rounds.row("64 kB of 4 MB, cached", Unit::Gigabyte, 0.6, pair, run)
}

fn cold_table(cold: &[Cold]) -> String {
    let mut table = Table::new(&[
        "part of a cold 10 GB object",
        "server",
        "bytes from the source",
        "requests",
        "first byte, ms",
    ]);
    for one in cold {
        table.line([
            one.range.to_owned(),
            one.peer.to_owned(),
            one.source_bytes.to_string(),
            one.source_requests.to_string(),
            number(one.first_byte_ms),
        ]);
    }
    table.markdown()
}
