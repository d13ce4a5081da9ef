//! Warm hits over HTTP/1.1, TLS 1.3 and HTTP/2: an edge beside nginx's cache.
//!
//! Both servers are on one core, the load tool is on another; both fill from the same origin, use the same
//! certificate and are warm before the first run. Compared is the CPU time that an answer or a gigabyte costs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use kromka_bench::client::Client;
use kromka_bench::facts::Facts;
use kromka_bench::load::{Load, Order, h2load, wrk};
use kromka_bench::measure::{Row, Run, Unit};
use kromka_bench::peers::kromka::{self, Edge, Origin};
use kromka_bench::peers::nginx::Nginx;
use kromka_bench::peers::{Peer, TlsPeer};
use kromka_bench::report::{Report, today};
use kromka_bench::table::{Table, number};
use kromka_bench::world::{Object, World};
use kromka_bench::{process, quantile};

const WHAT: &str = "CPU time (user and system) of the server for a warm hit, an edge beside nginx's \
    proxy_cache: server on one core, load tool on the other, runs interleaved, medians. Lower is better; the \
    ratio is ours by theirs; \"with tool\" is the ratio with the load tool's CPU time added to both, since on \
    loopback part of a server's sending is booked as the reader's.";

/// Warm hits of an edge beside nginx's cache: CPU time for an answer or a gigabyte.
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
    /// Only rows whose name contains this, as in "TLS h2" or "4 MB".
    #[arg(long, default_value = "")]
    rows: String,
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

/// How viewers speak.
#[derive(Clone, Copy)]
enum Wire {
    Plain,
    Tls,
    TlsH2,
}

/// A row of the table before it is measured.
struct Plan {
    wire: Wire,
    object: Object,
    bar: f64,
}

impl Plan {
    /// All rows, with the bars they are held against.
    fn all() -> Vec<Plan> {
        let bars = [
            (Wire::Plain, [0.55, 0.70, 0.35]),
            (Wire::Tls, [0.75, 0.35, 0.45]),
            (Wire::TlsH2, [0.65, 0.50, 0.45]),
        ];
        let rows = |(wire, bars): (Wire, [f64; 3])| {
            Object::ALL.into_iter().zip(bars).map(move |(object, bar)| Plan { wire, object, bar })
        };
        bars.into_iter().flat_map(rows).collect()
    }

    fn name(&self) -> String {
        let wire = match self.wire {
            Wire::Plain => "plain h1",
            Wire::Tls => "TLS h1",
            Wire::TlsH2 => "TLS h2",
        };
        format!("{wire}, {}", self.object.name())
    }

    fn unit(&self) -> Unit {
        match self.object {
            Object::Playlist => Unit::Request,
            Object::Segment | Object::Large => Unit::Gigabyte,
        }
    }

    fn load(&self, peer: &dyn TlsPeer, seconds: u32, args: &Args, room: &Path) -> Result<Load> {
        let path = self.object.path();
        let url = match self.wire {
            Wire::Plain => format!("http://{}{path}", peer.http()),
            Wire::Tls | Wire::TlsH2 => format!("https://{}{path}", peer.https()),
        };
        let order =
            Order { url, seconds, connections: args.connections, core: args.load_core, ..Order::default() };
        match self.wire {
            Wire::Plain | Wire::Tls => wrk::load(&order, room),
            Wire::TlsH2 => h2load::load(&order),
        }
    }

    /// One run of each to settle down, then the rounds.
    fn measure(&self, edge: &Edge, nginx: &Nginx, args: &Args, room: &Path) -> Result<Row> {
        let run = |peer: &dyn TlsPeer, seconds| {
            Run::of(peer.pid(), || self.load(peer, seconds, args, room))
                .with_context(|| format!("{}, {}", self.name(), peer.name()))
        };
        run(edge, 1)?;
        run(nginx, 1)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            ours.push(run(edge, args.seconds)?);
            theirs.push(run(nginx, args.seconds)?);
        }
        Ok(Row { name: self.name(), unit: self.unit(), bar: self.bar, ours, theirs })
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.server_core != args.load_core, "servers and load tool must not share a core");
    let plans: Vec<Plan> = Plan::all().into_iter().filter(|plan| plan.name().contains(&args.rows)).collect();
    if plans.is_empty() {
        let names: Vec<String> = Plan::all().iter().map(Plan::name).collect();
        bail!("no row contains `{}`; there are: {}", args.rows, names.join("; "));
    }
    process::open_files(u64::from(args.connections) + 1024)?;
    let binary = kromka::binary(args.kromka.as_deref())?;
    let world = World::new()?;
    let source = format!("dir = {:?}", world.media().display().to_string());
    let origin = Origin::start(&binary, &world.room("origin")?, &source, None)?;
    let upstream = origin.upstream();
    let edge = Edge::start(&binary, &world.room("edge")?, upstream.addr, Some(args.server_core))?;
    let nginx =
        Nginx::start("nginx", &world.room("nginx")?, &upstream, &edge.certificate(), Some(args.server_core))?;
    let mut settings = vec![
        ("seconds of a run", args.seconds.to_string()),
        ("rounds", args.rounds.to_string()),
        ("connections, one request at a time each", args.connections.to_string()),
        ("nginx", "settings of bench/src/peers/nginx.conf".to_owned()),
    ];
    settings.extend(warm(&edge, &nginx)?);
    for peer in [&edge as &dyn TlsPeer, &nginx] {
        let told = h2load::handshake(peer.https(), Object::Playlist.path(), args.load_core)?;
        settings.push(("TLS of h2load", format!("{}: {told}", peer.name())));
    }

    let mut rows = Vec::new();
    for plan in &plans {
        let row = plan.measure(&edge, &nginx, &args, world.path())?;
        let summary = row.summary()?;
        eprintln!("{}: {} (bar {})", row.name, number(summary.ratio), row.bar);
        rows.push(row);
    }
    still_warm(&edge, &nginx)?;

    let facts = Facts::gather(&binary);
    let tables = table(&rows)?;
    let report = Report {
        name: "warm-hits",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &rows,
    };
    println!("{}", report.markdown());
    finish(&report, &args)
}

fn finish(report: &Report<'_, Vec<Row>>, args: &Args) -> Result<()> {
    if args.dry {
        return Ok(());
    }
    for file in report.write(&args.out.clone().unwrap_or_else(today))? {
        eprintln!("{}", file.display());
    }
    Ok(())
}

/// Asks each server for each object until it is a hit, and says how much head each puts before it.
fn warm(edge: &Edge, nginx: &Nginx) -> Result<Vec<(&'static str, String)>> {
    let mut heads = Vec::new();
    for peer in [edge as &dyn Peer, nginx] {
        let mut viewer = Client::connect(peer.http())?;
        for object in Object::ALL {
            for _ in 0..3 {
                let answer = viewer.get(object.path())?;
                ensure!(answer.status == 200, "{}: {} is {}", peer.name(), object.path(), answer.head.line);
                ensure!(answer.hash == object.hash(), "{}: {} has wrong bytes", peer.name(), object.path());
            }
        }
        let answer = viewer.get(Object::Playlist.path())?;
        heads.push(("bytes of an answer's head", format!("{}: {}", peer.name(), answer.head.size)));
    }
    still_warm(edge, nginx)?;
    Ok(heads)
}

/// Fails if an object is not a hit, at the start or after the last run.
fn still_warm(edge: &Edge, nginx: &Nginx) -> Result<()> {
    for object in Object::ALL {
        let answer = Client::connect(edge.http())?.get(object.path())?;
        let status = answer.head.field("cache-status").unwrap_or("none");
        ensure!(status.split(',').next_back().is_some_and(|own| own.contains("; hit")), "kromka: {status}");
        let status = nginx.status(object.path())?;
        ensure!(status == "HIT", "nginx: {} is {status}", object.path());
    }
    Ok(())
}

fn table(rows: &[Row]) -> Result<String> {
    let heads = [
        "row",
        "kromka",
        "nginx",
        "unit",
        "ratio",
        "rounds",
        "bar",
        "with tool",
        "kromka/s",
        "nginx/s",
        "busy",
    ];
    let mut table = Table::new(&heads);
    for row in rows {
        let summary = row.summary()?;
        let rate = |runs: &[Run]| {
            let rates: Vec<f64> = runs.iter().map(|run| rate(run, row.unit)).collect();
            quantile::median(&rates).unwrap_or_default()
        };
        let busy = |runs: &[Run]| runs.iter().map(Run::busy).sum::<f64>() * 100.0 / runs.len().max(1) as f64;
        table.line([
            row.name.clone(),
            number(summary.ours),
            number(summary.theirs),
            row.unit.name().to_owned(),
            format!("{:.2}", summary.ratio),
            format!("{:.2}–{:.2}", summary.lowest, summary.highest),
            format!("{:.2}", row.bar),
            format!("{:.2}", summary.both),
            number(rate(&row.ours)),
            number(rate(&row.theirs)),
            format!("{:.0}/{:.0} %", busy(&row.ours), busy(&row.theirs)),
        ]);
    }
    Ok(table.markdown())
}

/// Requests or gigabytes in a second.
fn rate(run: &Run, unit: Unit) -> f64 {
    match unit {
        Unit::Request => run.requests as f64 / run.seconds,
        Unit::Gigabyte => run.bytes as f64 / 1e9 / run.seconds,
    }
}
