//! DNS with client subnets: a selector that ranks a living fleet, beside gdnsd and Knot, which look into a table.
//!
//! All servers answer the same question with three addresses, chosen by the client's network. Each is on one core,
//! dnsperf on another. Compared is the CPU time that an answer costs.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};
use clap::Parser;
use kromka_bench::facts::{Facts, said};
use kromka_bench::frame::{Evidence, Place, Rounds};
use kromka_bench::load::Load;
use kromka_bench::load::dnsperf::{self, Asking};
use kromka_bench::measure::{self, Run, Unit};
use kromka_bench::peers::gdnsd::{self, Gdnsd};
use kromka_bench::peers::knot::{self, Knot};
use kromka_bench::peers::names::{NAME, Names};
use kromka_bench::report::Report;
use kromka_bench::world::World;

const WHAT: &str = "CPU time (user and system) of the server for one DNS answer over UDP with three A records, chosen \
    for the network of an EDNS client subnet. The selector ranks 36 edges in 12 sites by measured distance and load \
    while all of them report twice a second (which is in its CPU time); gdnsd and Knot look into a table of the same \
    1000 networks. Server on one core, dnsperf on the other, runs interleaved, medians. Lower is better; the ratio is \
    ours by theirs.";

/// DNS answers of a selector beside gdnsd and Knot: CPU time for an answer.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// Questions under way at once.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    outstanding: u32,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    rows: String,
    /// Ports that ask.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clients: u32,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    evidence: Evidence,
}

/// A row before it is measured: who is compared, asked how.
struct Plan {
    name: &'static str,
    theirs: (SocketAddr, u32),
    subnet: bool,
    bar: f64,
}

impl Plan {
    fn ask(&self, server: SocketAddr, seconds: u32, args: &Args, room: &Path) -> Result<Load> {
        // 20.1.44.0/24, the same network in every question: dnsperf cannot vary it.
        let option = self.subnet.then(|| "8:0001180014012c".to_owned());
        let asking = Asking {
            server,
            questions: format!("{NAME} A\n"),
            option,
            seconds,
            outstanding: args.outstanding,
            clients: args.clients,
            core: args.place.load_core,
        };
        dnsperf::load(&asking, room)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let binary = args.place.begin(args.clients)?;
    let world = World::new()?;
    let names = Names::start(&binary, &world.room("selector")?, args.place.server_core)?;
    let gdnsd = Gdnsd::start(&world.room("gdnsd")?, args.place.server_core)?;
    let knot = Knot::start(&world.room("knot")?, args.place.server_core)?;
    // The bars are the goals of 4.2 and 5.1 µs measured for these peers against 5 µs for ours.
    let plans = [
        Plan { name: "client subnet, gdnsd", theirs: (gdnsd.addr(), gdnsd.pid()), subnet: true, bar: 1.19 },
        Plan { name: "client subnet, Knot", theirs: (knot.addr(), knot.pid()), subnet: true, bar: 0.98 },
        Plan { name: "no EDNS, gdnsd", theirs: (gdnsd.addr(), gdnsd.pid()), subnet: false, bar: 1.19 },
    ];
    let plans: Vec<&Plan> = plans.iter().filter(|plan| plan.name.contains(&args.rows)).collect();
    ensure!(!plans.is_empty(), "no row contains `{}`", args.rows);
    let mut rows = Vec::new();
    for plan in plans {
        let pair = [(names.addr(), names.pid()), plan.theirs];
        rows.push(args.rounds.row(plan.name, Unit::Request, plan.bar, pair, |&(addr, pid), seconds| {
            Run::of(pid, || plan.ask(addr, seconds, &args, world.path()))
        })?);
    }

    let facts = Facts::beside(
        &binary,
        vec![gdnsd::version(), knot::version()],
        vec![format!("dnsperf: {}", said("dnsperf", &["-h"]))],
    );
    let mut settings = args.rounds.settings();
    settings.push(("questions under way", format!("{} from {} ports", args.outstanding, args.clients)));
    let tables = measure::table("peer", &rows, &[])?;
    let report = Report {
        name: "dns",
        what: WHAT,
        facts: &facts,
        settings: &settings,
        tables: &tables,
        numbers: &rows,
    };
    args.evidence.tell(&report)
}
