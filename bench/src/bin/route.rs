//! What sending a viewer somewhere costs: the selector beside nginx, which hashes instead of deciding.
//!
//! Both servers are on one core, the load tool is on another. The selector ranks a fleet of 36 edges whose
//! heartbeats come in meanwhile; nginx gives the same answers, or texts of the same length, from its configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kromka_bench::client::Client;
use kromka_bench::facts::Facts;
use kromka_bench::load::{Order, wrk};
use kromka_bench::measure::{Row, Run, Unit};
use kromka_bench::peers::kromka;
use kromka_bench::peers::nginx_route::NginxRoute;
use kromka_bench::peers::selector::Selector;
use kromka_bench::process;
use kromka_bench::quantile::median;
use kromka_bench::report::{Report, today};
use kromka_bench::table::{Table, number};
use kromka_bench::world::World;

const WHAT: &str = "CPU time (user and system) of one answer: a selector that ranks 36 edges by distance, load and \
    title while they report, beside nginx with `split_clients` and `return`, which knows none of that: server on one \
    core, load tool on the other, runs interleaved, medians. Lower is better; the ratio is ours by theirs.";

/// Sites of three edges each.
const SITES: usize = 12;

/// What a redirect, a ranked list and a steering document cost, beside nginx.
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
    /// Only rows whose name contains this.
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

/// A row before it is measured.
struct Plan {
    name: &'static str,
    ours: &'static str,
    theirs: &'static str,
    /// The ratio to reach, and the answers in a second.
    bar: f64,
    rate: f64,
}

const ASSET: &str = "/stream/demo/master.m3u8";
const ROUTE: &str =
    "/route/~eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ2aWV3ZXItMSJ9.c2lnbmF0dXJl/stream/demo/master.m3u8";
const SELECT: &str = "/v1/select?path=/stream/demo/master.m3u8&client_ip=203.0.113.7&n=3";
/// A player whose playlist came from the first edge; the mark behind its name follows from its URL.
const STEER: &str = "/steer/bench?path=/stream/demo/master.m3u8&sid=0198f2d4-5d8e-7c3a-9b1e-2f6a4c8d0e1f&in=edge-0-0.b8f966&vod=1&\
                     _HLS_throughput=5000000";

const PLANS: [Plan; 3] = [
    Plan { name: "HTTP 307", ours: ROUTE, theirs: ROUTE, bar: 1.0, rate: 100_000.0 },
    Plan { name: "JSON, three edges", ours: SELECT, theirs: "/select", bar: 1.25, rate: 80_000.0 },
    Plan { name: "steering document", ours: STEER, theirs: "/steer", bar: 1.5, rate: 60_000.0 },
];

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.server_core != args.load_core, "servers and load tool must not share a core");
    let plans: Vec<&Plan> = PLANS.iter().filter(|plan| plan.name.contains(&args.rows)).collect();
    ensure!(!plans.is_empty(), "no row contains `{}`", args.rows);
    process::open_files(u64::from(args.connections) + 1024)?;
    let binary = kromka::binary(args.kromka.as_deref())?;
    let world = World::new()?;
    let selector = Selector::start(&binary, &world.room("selector")?, SITES, Some(args.server_core))?;
    let mut viewer = Client::connect(selector.http())?;
    let (select, steer) = (viewer.get(SELECT)?, viewer.get(STEER)?);
    ensure!(select.status == 200 && steer.status == 200, "list: {}; steering: {}", select.text, steer.text);
    let nginx = NginxRoute::start(
        &world.room("nginx")?,
        selector.edges(),
        &select.text,
        &steer.text,
        Some(args.server_core),
    )?;
    let settings = [
        ("seconds of a run", args.seconds.to_string()),
        ("rounds", args.rounds.to_string()),
        ("connections, one request at a time each", args.connections.to_string()),
        (
            "edges",
            format!("{} in {SITES} sites, a heartbeat of each in half a second", selector.edges().len()),
        ),
        ("bytes of an answer's body", format!("list {}, steering document {}", select.bytes, steer.bytes)),
        ("nginx", "settings of bench/src/peers/nginx_route.conf".to_owned()),
    ];
    agree(&selector, &nginx)?;

    let mut rows = Vec::new();
    for plan in plans {
        let row = measure(plan, &selector, &nginx, &args, world.path())?;
        let summary = row.summary()?;
        eprintln!(
            "{}: {} µs, {} of nginx's (bar {})",
            row.name,
            number(summary.ours),
            number(summary.ratio),
            row.bar
        );
        rows.push(row);
    }
    let facts = Facts::gather(&binary);
    let tables = table(&rows)?;
    let report = Report {
        name: "route",
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

/// Both send a viewer to the asset at an edge of the fleet.
fn agree(selector: &Selector, nginx: &NginxRoute) -> Result<()> {
    for (name, addr, status) in [("kromka", selector.http(), 307), ("nginx", nginx.http(), 302)] {
        let answer = Client::connect(addr)?.get(ROUTE)?;
        let location = answer.head.field("location").unwrap_or_default().to_owned();
        let known = selector.edges().iter().any(|edge| location.starts_with(&format!("http://{edge}/")));
        ensure!(
            answer.status == status && known && location.ends_with(ASSET),
            "{name}: {} {location}",
            answer.status
        );
    }
    Ok(())
}

/// One run of each to settle down, then the rounds.
fn measure(plan: &Plan, selector: &Selector, nginx: &NginxRoute, args: &Args, room: &Path) -> Result<Row> {
    let run = |ours: bool, seconds| {
        let (pid, addr, path) = match ours {
            true => (selector.pid(), selector.http(), plan.ours),
            false => (nginx.pid(), nginx.http(), plan.theirs),
        };
        let order = Order {
            url: format!("http://{addr}{path}"),
            seconds,
            connections: args.connections,
            core: args.load_core,
            ..Order::default()
        };
        Run::of(pid, || wrk::load(&order, room)).with_context(|| plan.name.to_owned())
    };
    run(true, 1)?;
    run(false, 1)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        ours.push(run(true, args.seconds)?);
        theirs.push(run(false, args.seconds)?);
    }
    Ok(Row { name: plan.name.to_owned(), unit: Unit::Request, bar: plan.bar, ours, theirs })
}

fn table(rows: &[Row]) -> Result<String> {
    let heads = [
        "answer",
        "kromka µs",
        "nginx µs",
        "ratio",
        "rounds",
        "bar",
        "kromka/s",
        "nginx/s",
        "to reach",
        "per busy core",
    ];
    let mut table = Table::new(&heads);
    for row in rows {
        let summary = row.summary()?;
        let rate = |runs: &[Run]| {
            let rates: Vec<f64> = runs.iter().map(|run| run.requests as f64 / run.seconds).collect();
            median(&rates).unwrap_or_default()
        };
        let wanted = PLANS.iter().find(|plan| plan.name == row.name).map_or(0.0, |plan| plan.rate);
        table.line([
            row.name.clone(),
            number(summary.ours),
            number(summary.theirs),
            format!("{:.2}", summary.ratio),
            format!("{:.2}–{:.2}", summary.lowest, summary.highest),
            format!("{:.2}", row.bar),
            number(rate(&row.ours)),
            number(rate(&row.theirs)),
            number(wanted),
            // What the load tool's core did not ask for is no limit of the server's.
            number(1e6 / summary.ours),
        ]);
    }
    Ok(table.markdown())
}
