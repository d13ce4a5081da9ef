//! DNS with client subnets: a selector that ranks a living fleet, beside gdnsd and Knot, which look into a table.
//!
//! All servers answer the same question with three addresses, chosen by the client's network. Each is on one core,
//! dnsperf on another. Compared is the CPU time that an answer costs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kromka_bench::facts::{Facts, said};
use kromka_bench::load::dnsperf::{self, Asking};
use kromka_bench::measure::{Row, Run, Unit};
use kromka_bench::peers::gdnsd::{self, Gdnsd};
use kromka_bench::peers::knot::{self, Knot};
use kromka_bench::peers::kromka;
use kromka_bench::peers::names::{NAME, Names};
use kromka_bench::report::{Report, today};
use kromka_bench::table::{Table, number};
use kromka_bench::world::World;
use kromka_bench::{process, quantile};

const WHAT: &str = "CPU time (user and system) of the server for one DNS answer over UDP with three A records, chosen \
    for the network of an EDNS client subnet. The selector ranks 36 edges in 12 sites by measured distance and load \
    while all of them report twice a second (which is in its CPU time); gdnsd and Knot look into a table of the same \
    1000 networks. Server on one core, dnsperf on the other, runs interleaved, medians. Lower is better; the ratio is \
    ours by theirs.";

/// DNS answers of a selector beside gdnsd and Knot: CPU time for an answer.
#[derive(Parser)]
struct Args {
    /// Seconds of one run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Runs of each server and row; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Questions under way at once.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    outstanding: u32,
    /// Ports that ask.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clients: u32,
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of dnsperf.
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

/// A row before it is measured: who is compared, asked how.
struct Plan {
    name: &'static str,
    theirs: (SocketAddr, u32),
    subnet: bool,
    bar: f64,
}

impl Plan {
    fn ask(
        &self,
        server: SocketAddr,
        seconds: u32,
        args: &Args,
        room: &Path,
    ) -> Result<kromka_bench::load::Load> {
        // 20.1.44.0/24, the same network in every question: dnsperf cannot vary it.
        let option = self.subnet.then(|| "8:0001180014012c".to_owned());
        let asking = Asking {
            server,
            questions: format!("{NAME} A\n"),
            option,
            seconds,
            outstanding: args.outstanding,
            clients: args.clients,
            core: args.load_core,
        };
        dnsperf::load(&asking, room)
    }

    /// One run of each to settle down, then the rounds.
    fn measure(&self, ours: (SocketAddr, u32), args: &Args, room: &Path) -> Result<Row> {
        let run = |(addr, pid): (SocketAddr, u32), seconds| {
            Run::of(pid, || self.ask(addr, seconds, args, room)).with_context(|| self.name.to_owned())
        };
        run(ours, 1)?;
        run(self.theirs, 1)?;
        let (mut our_runs, mut their_runs) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            our_runs.push(run(ours, args.seconds)?);
            their_runs.push(run(self.theirs, args.seconds)?);
        }
        let name = self.name.to_owned();
        Ok(Row { name, unit: Unit::Request, bar: self.bar, ours: our_runs, theirs: their_runs })
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.server_core != args.load_core, "servers and load tool must not share a core");
    process::open_files(4_096)?;
    let binary = kromka::binary(args.kromka.as_deref())?;
    let world = World::new()?;
    let names = Names::start(&binary, &world.room("selector")?, args.server_core)?;
    let gdnsd = Gdnsd::start(&world.room("gdnsd")?, args.server_core)?;
    let knot = Knot::start(&world.room("knot")?, args.server_core)?;
    // The bars are the goals of 4.2 and 5.1 µs measured for these peers against 5 µs for ours.
    let plans = [
        Plan { name: "client subnet, gdnsd", theirs: (gdnsd.addr(), gdnsd.pid()), subnet: true, bar: 1.19 },
        Plan { name: "client subnet, Knot", theirs: (knot.addr(), knot.pid()), subnet: true, bar: 0.98 },
        Plan { name: "no EDNS, gdnsd", theirs: (gdnsd.addr(), gdnsd.pid()), subnet: false, bar: 1.19 },
    ];
    let mut rows = Vec::new();
    for plan in &plans {
        let row = plan.measure((names.addr(), names.pid()), &args, world.path())?;
        let summary = row.summary()?;
        eprintln!("{}: {} (bar {})", row.name, number(summary.ratio), row.bar);
        rows.push(row);
    }

    let facts = Facts::beside(
        &binary,
        vec![gdnsd::version(), knot::version()],
        vec![format!("dnsperf: {}", said("dnsperf", &["-h"]))],
    );
    let settings = [
        ("seconds of a run", args.seconds.to_string()),
        ("rounds", args.rounds.to_string()),
        ("questions under way", format!("{} from {} ports", args.outstanding, args.clients)),
    ];
    let tables = table(&rows)?;
    let report = Report {
        name: "dns",
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

fn table(rows: &[Row]) -> Result<String> {
    let heads = [
        "row",
        "kromka",
        "peer",
        "unit",
        "ratio",
        "rounds",
        "bar",
        "with tool",
        "kromka/s",
        "peer/s",
        "busy",
    ];
    let mut table = Table::new(&heads);
    for row in rows {
        let summary = row.summary()?;
        let rate = |runs: &[Run]| {
            let rates: Vec<f64> = runs.iter().map(|run| run.requests as f64 / run.seconds).collect();
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
