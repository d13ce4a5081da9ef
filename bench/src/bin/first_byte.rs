//! Misses through two tiers: an edge and its shield beside nginx in front of nginx.
//!
//! One viewer asks for objects that nobody has asked for before, in turn from the one chain and the other. All
//! four servers share a core; viewer and source have another.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kromka_bench::client::Client;
use kromka_bench::facts::Facts;
use kromka_bench::frame::{Evidence, Place};
use kromka_bench::peers::kromka::{Edge, Origin};
use kromka_bench::peers::nginx::Nginx;
use kromka_bench::peers::{Peer, Upstream};
use kromka_bench::process;
use kromka_bench::quantile::quantile;
use kromka_bench::report::Report;
use kromka_bench::source::{self, Source};
use kromka_bench::table::{Table, number};
use kromka_bench::world::World;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

const WHAT: &str = "Misses through two tiers, kromka's edge and origin beside nginx in front of nginx, one \
    viewer, objects in turn from both. Times in milliseconds from the request; the ratio is ours by theirs at \
    the median. Bar: first byte at most 1.0.";

/// Time to first byte of misses through edge and shield, beside nginx in front of nginx.
#[derive(Parser)]
struct Args {
    /// Objects of each size and chain.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    objects: u32,
    /// Sizes of the objects, in bytes.
    #[arg(long, value_delimiter = ',', default_value = "2000,400000,4000000")]
    sizes: Vec<u64>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    evidence: Evidence,
}

/// The misses of one chain on objects of one size.
#[derive(Clone, Debug, Serialize)]
struct Misses {
    bytes: u64,
    chain: &'static str,
    /// From the request to the first byte, in milliseconds, in order.
    first: Vec<f64>,
    /// From the request to the last byte, in milliseconds, in order.
    whole: Vec<f64>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let binary = args.place.begin(0)?;
    process::stay_on(args.place.load_core)?;
    let facts = Facts::gather(&binary);
    let world = World::new()?;
    let source = Source::start()?;
    let core = Some(args.place.server_core);

    let storage = format!("http = \"http://{}\"", source.addr());
    let origin = Origin::start(&binary, &world.room("origin")?, &storage, core)?;
    let edge = Edge::start(&binary, &world.room("edge")?, origin.upstream().addr, core)?;
    let certificate = edge.certificate();
    let before = |addr| Upstream { addr, prefix: String::new() };
    let far = Nginx::start("far", &world.room("far")?, &before(source.addr()), &certificate, core)?;
    let near = Nginx::start("near", &world.room("near")?, &before(far.http()), &certificate, core)?;

    let mut rows = Vec::new();
    for &bytes in &args.sizes {
        let chains: [&dyn Peer; 2] = [&edge, &near];
        rows.extend(misses(bytes, chains, &source, &args)?);
    }

    let settings = [
        ("objects of each size and chain", args.objects.to_string()),
        ("nginx", "settings of bench/src/peers/nginx.conf, both tiers".to_owned()),
    ];
    let tables = table(&rows);
    let report = Report {
        name: "first-byte",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &rows,
    };
    args.evidence.tell(&report)
}

/// Objects of one size, in turn from each chain; the first few settle connections and do not count.
fn misses(bytes: u64, chains: [&dyn Peer; 2], source: &Source, args: &Args) -> Result<[Misses; 2]> {
    let settling = 10;
    let mut rows = chains.map(|peer| Misses { bytes, chain: peer.name(), first: vec![], whole: vec![] });
    let mut viewers = [Client::connect(chains[0].http())?, Client::connect(chains[1].http())?];
    for number in 0..settling + args.objects {
        for (row, viewer) in rows.iter_mut().zip(&mut viewers) {
            let path = format!("/{}/{number}-{bytes}.ts", row.chain);
            let hash = xxh3_64(source::body(&path).with_context(|| format!("no object of {bytes} bytes"))?);
            let asked = source.requests();
            let answer = viewer.get(&path).with_context(|| row.chain)?;
            ensure!(answer.status == 200, "{}: {path} is {}", row.chain, answer.head.line);
            ensure!(answer.bytes == bytes && answer.hash == hash, "{}: {path} has wrong bytes", row.chain);
            ensure!(source.requests() > asked, "{}: {path} was no miss", row.chain);
            if number >= settling {
                row.first.push(answer.first_byte.as_secs_f64() * 1e3);
                row.whole.push(answer.whole.as_secs_f64() * 1e3);
            }
        }
    }
    Ok(rows)
}

fn table(rows: &[Misses]) -> String {
    let heads = ["object", "what", "kromka p50", "nginx p50", "ratio", "kromka p99", "nginx p99"];
    let mut table = Table::new(&heads);
    for pair in rows.chunks_exact(2) {
        let [ours, theirs] = pair else { continue };
        for (what, ours_ms, theirs_ms) in
            [("first byte", &ours.first, &theirs.first), ("whole", &ours.whole, &theirs.whole)]
        {
            let at = |values: &[f64], share| quantile(values, share).unwrap_or(f64::NAN);
            table.line([
                format!("{} bytes", ours.bytes),
                what.to_owned(),
                number(at(ours_ms, 0.5)),
                number(at(theirs_ms, 0.5)),
                format!("{:.2}", at(ours_ms, 0.5) / at(theirs_ms, 0.5)),
                number(at(ours_ms, 0.99)),
                number(at(theirs_ms, 0.99)),
            ]);
        }
    }
    table.markdown()
}
