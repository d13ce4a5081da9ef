//! Parts of objects: what the last byte of a cold 10 GB object costs the source, and what 64 kB out of a cached
//! segment cost the server; beside nginx with its slices.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kromka_bench::client::Client;
use kromka_bench::facts::Facts;
use kromka_bench::load::{Order, wrk};
use kromka_bench::measure::{Row, Run, Unit};
use kromka_bench::peers::kromka::{self, Edge};
use kromka_bench::peers::nginx::Nginx;
use kromka_bench::peers::{Peer, Upstream};
use kromka_bench::process;
use kromka_bench::report::{Report, today};
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
    /// Seconds of one run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Runs of each server; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Connections of the load tool, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load tool.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// The binary to measure; otherwise $KROMKA_BIN, target/dist/kromka, target/release/kromka.
    #[arg(long)]
    kromka: Option<PathBuf>,
    /// Folder for the evidence; otherwise bench/results/DATE.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write no evidence.
    #[arg(long)]
    dry: bool,
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
    warm: Row,
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.server_core != args.load_core, "servers and load tool must not share a core");
    process::open_files(u64::from(args.connections) + 1024)?;
    let binary = kromka::binary(args.kromka.as_deref())?;
    let facts = Facts::gather(&binary);
    let world = World::new()?;
    let source = Source::start()?;
    let core = Some(args.server_core);
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

    let tables = format!("{}\n{}", cold_table(&cold), warm_table(&warm)?);
    let settings = [
        ("seconds of a run", args.seconds.to_string()),
        ("rounds", args.rounds.to_string()),
        ("connections, one request at a time each", args.connections.to_string()),
        ("block of the edge", "256 KiB".to_owned()),
        ("bars", "at most 2 blocks from the source; 64 kB of 4 MB: 0.6".to_owned()),
        ("nginx", "settings of bench/src/peers/nginx.conf, with slices".to_owned()),
    ];
    let numbers = Numbers { cold, warm };
    let report = Report {
        name: "ranges",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &numbers,
    };
    println!("{}", report.markdown());
    if !args.dry {
        for file in report.write(&args.out.clone().unwrap_or_else(today))? {
            eprintln!("{}", file.display());
        }
    }
    Ok(())
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
    let run = |peer: &dyn Peer, seconds| {
        let order = Order {
            url: format!("http://{}{path}", peer.http()),
            field: Some(format!("Range: {range}")),
            seconds,
            connections: args.connections,
            core: args.load_core,
            ..Order::default()
        };
        Run::of(peer.pid(), || wrk::load(&order, world.path()))
    };
    run(edge, 1)?;
    run(nginx, 1)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        ours.push(run(edge, args.seconds)?);
        theirs.push(run(nginx, args.seconds)?);
    }
    Ok(Row { name: "64 kB of 4 MB, cached".to_owned(), unit: Unit::Gigabyte, bar: 0.6, ours, theirs })
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

fn warm_table(row: &Row) -> Result<String> {
    let summary = row.summary()?;
    let mut table = Table::new(&["row", "kromka", "nginx", "unit", "ratio", "rounds", "bar", "with tool"]);
    table.line([
        row.name.clone(),
        number(summary.ours),
        number(summary.theirs),
        row.unit.name().to_owned(),
        format!("{:.2}", summary.ratio),
        format!("{:.2}–{:.2}", summary.lowest, summary.highest),
        format!("{:.2}", row.bar),
        format!("{:.2}", summary.both),
    ]);
    Ok(table.markdown())
}
