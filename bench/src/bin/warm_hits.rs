//! Warm hits over HTTP/1.1, TLS 1.3 and HTTP/2: an edge beside nginx's cache.
//!
//! Both servers are on one core, the load tool is on another; both fill from the same origin, use the same
//! certificate and are warm before the first run. Compared is the CPU time that an answer or a gigabyte costs.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use kromka_bench::client::Client;
use kromka_bench::facts::Facts;
use kromka_bench::frame::{Evidence, Http, Place};
use kromka_bench::load::{Load, h2load, wrk};
use kromka_bench::measure::{self, Run, Unit};
use kromka_bench::peers::kromka::{Edge, Origin};
use kromka_bench::peers::nginx::Nginx;
use kromka_bench::peers::{Peer, TlsPeer};
use kromka_bench::report::Report;
use kromka_bench::world::{Object, World};

const WHAT: &str = "CPU time (user and system) of the server for a warm hit, an edge beside nginx's \
    proxy_cache: server on one core, load tool on the other, runs interleaved, medians. Lower is better; the \
    ratio is ours by theirs; \"with tool\" is the ratio with the load tool's CPU time added to both, since on \
    loopback part of a server's sending is booked as the reader's.";

/// Warm hits of an edge beside nginx's cache: CPU time for an answer or a gigabyte.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    http: Http,
    /// Only rows whose name contains this, as in "TLS h2" or "4 MB".
    #[arg(long, default_value = "")]
    rows: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    evidence: Evidence,
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
        let order = args.http.order(url, seconds, &args.place);
        match self.wire {
            Wire::Plain | Wire::Tls => wrk::load(&order, room),
            Wire::TlsH2 => h2load::load(&order),
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let plans: Vec<Plan> = Plan::all().into_iter().filter(|plan| plan.name().contains(&args.rows)).collect();
    if plans.is_empty() {
        let names: Vec<String> = Plan::all().iter().map(Plan::name).collect();
        bail!("no row contains `{}`; there are: {}", args.rows, names.join("; "));
    }
    let binary = args.place.begin(args.http.connections)?;
    let world = World::new()?;
    let source = format!("dir = {:?}", world.media().display().to_string());
    let origin = Origin::start(&binary, &world.room("origin")?, &source, None)?;
    let upstream = origin.upstream();
    let edge = Edge::start(&binary, &world.room("edge")?, upstream.addr, Some(args.place.server_core))?;
    let nginx = Nginx::start(
        "nginx",
        &world.room("nginx")?,
        &upstream,
        &edge.certificate(),
        Some(args.place.server_core),
    )?;
    let mut settings = args.http.settings();
    settings.push(("nginx", "settings of bench/src/peers/nginx.conf".to_owned()));
    settings.extend(warm(&edge, &nginx)?);
    for peer in [&edge as &dyn TlsPeer, &nginx] {
        let told = h2load::handshake(peer.https(), Object::Playlist.path(), args.place.load_core)?;
        settings.push(("TLS of h2load", format!("{}: {told}", peer.name())));
    }

    let mut rows = Vec::new();
    for plan in &plans {
        let pair = [&edge as &dyn TlsPeer, &nginx];
        rows.push(args.http.rounds.row(&plan.name(), plan.unit(), plan.bar, pair, |peer, seconds| {
            Run::of(peer.pid(), || plan.load(*peer, seconds, &args, world.path()))
        })?);
    }
    still_warm(&edge, &nginx)?;

    let facts = Facts::gather(&binary);
    let tables = measure::table("nginx", &rows, &[])?;
    let report = Report {
        name: "warm-hits",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &rows,
    };
    args.evidence.tell(&report)
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
