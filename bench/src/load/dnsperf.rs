//! dnsperf: one question over UDP, over and over, for the clients of one network.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Load, run};

/// What dnsperf is told.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Whom it asks.
    pub server: SocketAddr,
    /// What it asks: lines of a name and a type.
    pub questions: String,
    /// EDNS options as dnsperf takes them, `code:hex`; none without EDNS.
    pub option: Option<String>,
    /// For how long.
    pub seconds: u32,
    /// Questions under way at once.
    pub outstanding: u32,
    /// Sockets, so ports.
    pub clients: u32,
    /// The core of the tool.
    pub core: usize,
}

/// Runs dnsperf with one thread; `room` is a folder for its questions.
///
/// # Errors
/// dnsperf is not there, fails, or prints something unknown.
pub fn load(asking: &Asking, room: &Path) -> Result<Load> {
    let file = room.join("questions.txt");
    fs::write(&file, &asking.questions).with_context(|| format!("cannot write {}", file.display()))?;
    let mut args: Vec<String> = [
        "-s".to_owned(),
        asking.server.ip().to_string(),
        "-p".to_owned(),
        asking.server.port().to_string(),
        "-d".to_owned(),
        file.display().to_string(),
        "-l".to_owned(),
        asking.seconds.to_string(),
        "-c".to_owned(),
        asking.clients.to_string(),
        "-q".to_owned(),
        asking.outstanding.to_string(),
        "-T".to_owned(),
        "1".to_owned(),
    ]
    .into();
    if let Some(option) = &asking.option {
        args.extend(["-e".to_owned(), "-E".to_owned(), option.clone()]);
    }
    let text = run("dnsperf", "dnsperf", asking.core, &args)?;
    parse(&text).with_context(|| format!("dnsperf printed something unknown: {text}"))
}

/// Reads the statistics. A question in a thousand may be lost, as datagrams are; more is a server that does not keep
/// up, and no result.
fn parse(text: &str) -> Result<Load> {
    let after =
        |name: &str| text.lines().find_map(|line| line.trim_start().strip_prefix(name)).map(str::trim);
    let first = |name: &str| after(name).and_then(|rest| rest.split_whitespace().next());
    let number = |name: &str| first(name).and_then(|word| word.parse::<u64>().ok());
    let sent = number("Queries sent:").context("no number of questions")?;
    let answered = number("Queries completed:").context("no number of answers")?;
    if answered * 1_000 < sent * 999 {
        bail!("{} of {sent} questions were lost", sent.saturating_sub(answered));
    }
    let good = after("Response codes:")
        .and_then(|codes| codes.split(',').find_map(|code| code.trim().strip_prefix("NOERROR ")))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    let size: u64 = after("Average packet size:")
        .and_then(|rest| rest.split("response").nth(1)?.trim().parse().ok())
        .context("no size of answers")?;
    let seconds = first("Run time (s):").and_then(|word| word.parse().ok()).context("no run time")?;
    Ok(Load { requests: answered, bytes: answered * size, seconds, failed: answered.saturating_sub(good) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const TEXT: &str = "Statistics:\n\n  Queries sent:         300100\n  Queries completed:    300000 (99.97%)\n  \
        Queries lost:         100 (0.03%)\n\n  Response codes:       NOERROR 299990 (100.00%), SERVFAIL 10 (0.00%)\n  \
        Average packet size:  request 49, response 97\n  Run time (s):         3.000100\n  \
        Queries per second:   99996.6\n\n  Average Latency (s):  0.000989 (min 0.000050, max 0.012)\n";

    #[test]
    fn statistics_are_read_and_bad_answers_counted() {
        let load = Load { requests: 300_000, bytes: 29_100_000, seconds: 3.000_1, failed: 10 };
        assert_eq!(parse(TEXT).unwrap(), load);
    }

    #[test]
    fn a_run_that_loses_more_than_one_in_a_thousand_is_none() {
        assert!(parse(&TEXT.replace("completed:    300000", "completed:    290000")).is_err());
        assert!(parse("nothing").is_err());
    }
}
