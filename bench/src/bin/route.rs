//! What sending a viewer somewhere costs: the selector beside nginx, which hashes instead of deciding.
//!
//! Both servers are on one core, the load tool is on another. The selector ranks a fleet of 36 edges whose
//! heartbeats come in meanwhile; nginx gives the same answers, or texts of the same length, from its configuration.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use clap::Parser;
use kromka_bench::client::Client;
use kromka_bench::facts::Facts;
use kromka_bench::frame::{Evidence, Http, Place};
use kromka_bench::load::wrk;
use kromka_bench::measure::{self, Row, Run, Summary, Unit};
use kromka_bench::peers::nginx_route::NginxRoute;
use kromka_bench::peers::selector::Selector;
use kromka_bench::report::Report;
use kromka_bench::table::number;
use kromka_bench::world::World;

const WHAT: &str = "CPU time (user and system) of one answer: a selector that ranks 36 edges by distance, load and \
    title while they report, beside nginx with `split_clients` and `return`, which knows none of that: server on one \
    core, load tool on the other, runs interleaved, medians. Lower is better; the ratio is ours by theirs.";

/// Sites of three edges each.
const SITES: usize = 12;

/// What a redirect, a ranked list and a steering document cost, beside nginx.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    http: Http,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    rows: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    evidence: Evidence,
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
    let plans: Vec<&Plan> = PLANS.iter().filter(|plan| plan.name.contains(&args.rows)).collect();
    ensure!(!plans.is_empty(), "no row contains `{}`", args.rows);
    let binary = args.place.begin(args.http.connections)?;
    let world = World::new()?;
    let selector = Selector::start(&binary, &world.room("selector")?, SITES, Some(args.place.server_core))?;
    let mut viewer = Client::connect(selector.http())?;
    let (select, steer) = (viewer.get(SELECT)?, viewer.get(STEER)?);
    ensure!(select.status == 200 && steer.status == 200, "list: {}; steering: {}", select.text, steer.text);
    let nginx = NginxRoute::start(
        &world.room("nginx")?,
        selector.edges(),
        &select.text,
        &steer.text,
        Some(args.place.server_core),
    )?;
    let mut settings = args.http.settings();
    settings.extend([
        (
            "edges",
            format!("{} in {SITES} sites, a heartbeat of each in half a second", selector.edges().len()),
        ),
        ("bytes of an answer's body", format!("list {}, steering document {}", select.bytes, steer.bytes)),
        ("nginx", "settings of bench/src/peers/nginx_route.conf".to_owned()),
    ]);
    agree(&selector, &nginx)?;

    let mut rows = Vec::new();
    for plan in plans {
        let pair = [(selector.pid(), selector.http(), plan.ours), (nginx.pid(), nginx.http(), plan.theirs)];
        let run = |&(pid, addr, path): &(u32, SocketAddr, &str), seconds| {
            let order = args.http.order(format!("http://{addr}{path}"), seconds, &args.place);
            Run::of(pid, || wrk::load(&order, world.path()))
        };
        rows.push(args.http.rounds.row(plan.name, Unit::Request, plan.bar, pair, run)?);
    }
    let facts = Facts::gather(&binary);
    let wanted = |row: &Row, _: &Summary| {
        number(PLANS.iter().find(|plan| plan.name == row.name).map_or(0.0, |plan| plan.rate))
    };
    // What the load tool's core did not ask for is no limit of the server's.
    let busy = |_: &Row, summary: &Summary| number(1e6 / summary.ours);
    let tables = measure::table("nginx", &rows, &[("rate to reach", &wanted), ("per busy core", &busy)])?;
    let report = Report {
        name: "route",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &rows,
    };
    args.evidence.tell(&report)
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
