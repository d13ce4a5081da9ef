//! wrk: HTTP/1.1, plain and over TLS.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Load, Order, run};

/// Makes wrk print exact numbers.
const SCRIPT: &str = include_str!("wrk.lua");

/// Runs wrk with one thread; `room` is a folder for its script.
///
/// # Errors
/// wrk is not there, fails, or prints something unknown.
pub fn load(order: &Order, room: &Path) -> Result<Load> {
    let script = room.join("wrk.lua");
    fs::write(&script, format!("{SCRIPT}{}", turns(&order.paths)))
        .with_context(|| format!("cannot write {}", script.display()))?;
    let mut args = vec![
        "-t1".to_owned(),
        format!("-c{}", order.connections),
        format!("-d{}s", order.seconds),
        "--timeout=10s".to_owned(),
        format!("--script={}", script.display()),
        order.url.clone(),
    ];
    if let Some(field) = &order.field {
        args.splice(0..0, ["-H".to_owned(), field.clone()]);
    }
    let text = run("wrk", "wrk", order.core, &args)?;
    parse(&text).with_context(|| format!("wrk printed something unknown: {text}"))
}

/// Makes wrk ask for the paths in turn; each request is put together once, before the clock starts.
fn turns(paths: &[String]) -> String {
    if paths.is_empty() {
        return String::new();
    }
    let list: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
    format!(
        "local paths = {{{}}}\nlocal requests, at = {{}}, 0\n\
         init = function() for n, path in ipairs(paths) do requests[n] = wrk.format(nil, path) end end\n\
         request = function() at = at % #requests + 1; return requests[at] end\n",
        list.join(", ")
    )
}

/// Reads the line that the script prints. A timeout only says that an answer took long; it is no failure.
fn parse(text: &str) -> Option<Load> {
    let line = text.lines().find_map(|line| line.strip_prefix("exact "))?;
    let number = |name: &str| -> Option<u64> {
        line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?.parse().ok()
    };
    Some(Load {
        requests: number("requests")?,
        bytes: number("bytes")?,
        seconds: number("micros")? as f64 / 1e6,
        failed: number("status")? + number("broken")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_line_is_read_among_the_rounded_ones() {
        let text = "Running 3s test @ http://127.0.0.1:1/x\n  1 threads and 64 connections\n\
            \x20 155903 requests in 3.00s, 339.51MB read\nRequests/sec:  51956.73\n\
            exact requests=155903 bytes=356003217 micros=3000643 status=2 broken=1 timeout=5\n";
        let load = Load { requests: 155_903, bytes: 356_003_217, seconds: 3.000_643, failed: 3 };
        assert_eq!(parse(text), Some(load));
    }

    #[test]
    fn without_it_there_is_no_result() {
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(parse("exact requests=1 bytes=x micros=1 status=0 broken=0 timeout=0\n"), None);
    }
}
