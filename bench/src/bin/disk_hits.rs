//! Hits from disk: a working set of four times the memory, an edge beside nginx, which has all of its cache on
//! disk. Both read out of the system's page cache: what is compared is the way from there to the socket.

use std::path::PathBuf;

use anyhow::{Result, ensure};
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

const WHAT: &str = "CPU time (user and system) of the server for hits, asked for in turn so that four times the \
    memory of the edge are wanted again and again; nginx's cache is on disk anyway. Files are in the page cache \
    on both sides. Server on one core, load tool on the other, runs interleaved, medians; the ratio is ours by \
    theirs.";

/// The edge's memory for blocks, in MiB.
const MEMORY_MIB: u64 = 64;

/// Hits of a working set of four times the memory.
#[derive(Parser)]
struct Args {
    /// Seconds of one run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Runs of each server and row; the median counts.
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

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.server_core != args.load_core, "servers and load tool must not share a core");
    process::open_files(u64::from(args.connections) + 1024)?;
    let binary = kromka::binary(args.kromka.as_deref())?;
    let facts = Facts::gather(&binary);
    let world = World::new()?;
    let source = Source::start()?;
    let core = Some(args.server_core);
    let memory = format!("memory = \"{MEMORY_MIB}MiB\"");
    let disk = "[cache.disk]\npath = \"cache\"\nsize = \"8GiB\"";
    let edge = Edge::start_with(&memory, disk, &binary, &world.room("edge")?, source.addr(), core)?;
    let upstream = Upstream { addr: source.addr(), prefix: String::new() };
    let nginx = Nginx::start("nginx", &world.room("nginx")?, &upstream, &edge.certificate(), core)?;

    let mut rows = Vec::new();
    for bytes in [400_000, 4_000_000] {
        let count = ((4 * MEMORY_MIB) << 20) / bytes;
        let paths: Vec<String> = (0..count).map(|n| format!("/disk/{n}-{bytes}.ts")).collect();
        rows.push(measure(&paths, bytes, &edge, &nginx, &source, &args, &world)?);
    }

    let settings = [
        ("seconds of a run", args.seconds.to_string()),
        ("rounds", args.rounds.to_string()),
        ("connections, one request at a time each", args.connections.to_string()),
        ("memory of the edge", format!("{MEMORY_MIB} MiB; its disk cache and nginx's in one file system")),
        ("nginx", "settings of bench/src/peers/nginx.conf".to_owned()),
    ];
    let tables = table(&rows)?;
    let report = Report {
        name: "disk-hits",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &rows,
    };
    println!("{}", report.markdown());
    if !args.dry {
        for file in report.write(&args.out.clone().unwrap_or_else(today))? {
            eprintln!("{}", file.display());
        }
    }
    Ok(())
}

fn measure(
    paths: &[String],
    bytes: u64,
    edge: &Edge,
    nginx: &Nginx,
    source: &Source,
    args: &Args,
    world: &World,
) -> Result<Row> {
    for peer in [edge as &dyn Peer, nginx] {
        // Until a whole turn asks the source for nothing: what a disk was too slow for is fetched again.
        let mut viewer = Client::connect(peer.http())?;
        for turn in 0.. {
            let before = source.requests();
            for path in paths {
                let answer = viewer.get(path)?;
                ensure!(
                    answer.status == 200 && answer.bytes == bytes,
                    "{}: {}",
                    peer.name(),
                    answer.head.line
                );
            }
            if source.requests() == before {
                break;
            }
            ensure!(turn < 20, "{}: not all of it is on disk after 20 turns", peer.name());
        }
    }
    let run = |peer: &dyn Peer, seconds| {
        let order = Order {
            url: format!("http://{}/", peer.http()),
            paths: paths.to_vec(),
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
    let name = format!("{} objects of {bytes} bytes", paths.len());
    Ok(Row { name, unit: Unit::Gigabyte, bar: 0.9, ours, theirs })
}

fn table(rows: &[Row]) -> Result<String> {
    let mut table = Table::new(&["row", "kromka", "nginx", "unit", "ratio", "rounds", "bar", "with tool"]);
    for row in rows {
        let summary = row.summary()?;
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
    }
    Ok(table.markdown())
}
