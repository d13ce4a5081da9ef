//! Hits from disk: a working set of four times the memory, an edge beside nginx, which has all of its cache on
//! disk. Both read out of the system's page cache: what is compared is the way from there to the socket.

use anyhow::{Result, ensure};
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
    #[command(flatten)]
    http: Http,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    evidence: Evidence,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let binary = args.place.begin(args.http.connections)?;
    let facts = Facts::gather(&binary);
    let world = World::new()?;
    let source = Source::start()?;
    let core = Some(args.place.server_core);
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

    let mut settings = args.http.settings();
    settings.extend([
        ("memory of the edge", format!("{MEMORY_MIB} MiB; its disk cache and nginx's in one file system")),
        ("nginx", "settings of bench/src/peers/nginx.conf".to_owned()),
    ]);
    let tables = measure::table("nginx", &rows, &[])?;
    let report = Report {
        name: "disk-hits",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &rows,
    };
    args.evidence.tell(&report)
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
    let run = |peer: &&dyn Peer, seconds| {
        let mut order = args.http.order(format!("http://{}/", peer.http()), seconds, &args.place);
        order.paths = paths.to_vec();
        Run::of(peer.pid(), || wrk::load(&order, world.path()))
    };
    let name = format!("{} objects of {bytes} bytes", paths.len());
    args.http.rounds.row(&name, Unit::Gigabyte, 0.9, [edge as &dyn Peer, nginx], run)
}
