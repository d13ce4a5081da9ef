//! h2load: HTTP/2 over TLS, one request at a time on each connection as with wrk.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::{Load, Order, run};

/// Runs h2load with one thread.
///
/// # Errors
/// h2load is not there, fails, or prints something unknown.
pub fn load(order: &Order) -> Result<Load> {
    let args = [
        "-t1".to_owned(),
        "-m1".to_owned(),
        format!("-c{}", order.connections),
        format!("--duration={}", order.seconds),
        order.url.clone(),
    ];
    let text = run("h2load", "nghttp2-client", order.core, &args)?;
    parse(&text, order.seconds).with_context(|| format!("h2load printed something unknown: {text}"))
}

/// What a server and this client agree on: protocol, cipher, key exchange and ALPN.
///
/// # Errors
/// As with [`load`].
pub fn handshake(server: SocketAddr, path: &str, core: usize) -> Result<String> {
    let args = ["-n1", "-c1", &format!("https://{server}{path}")].map(str::to_owned);
    let text = run("h2load", "nghttp2-client", core, &args)?;
    let names = ["TLS Protocol: ", "Cipher: ", "Server Temp Key: ", "Application protocol: "];
    let told = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim();
    Ok(names.map(told).join(", "))
}

/// Reads the summary. The tool's own "finished in" contains its way out, so the time is the one ordered.
fn parse(text: &str, seconds: u32) -> Option<Load> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let requests = line("requests: ")?;
    let count = |name: &str| -> Option<u64> {
        requests.split(", ").find_map(|part| part.strip_suffix(name))?.trim().parse().ok()
    };
    // Of answers of another status, only those of 4xx and 5xx count as failed in the line of requests.
    let redirected = line("status codes: ")?
        .split(", ")
        .find_map(|part| part.strip_suffix(" 3xx"))
        .and_then(|part| part.trim().parse::<u64>().ok())?;
    let (_, exact) = line("traffic: ")?.split_once('(')?;
    Some(Load {
        requests: count("succeeded")?,
        bytes: exact.split_once(')')?.0.parse().ok()?,
        seconds: f64::from(seconds),
        failed: count("failed")? + redirected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Application protocol: h2

finished in 2.49s, 1815.00 req/s, 222.13KB/s
requests: 1815 total, 1819 started, 1815 done, 1814 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 1812 2xx, 2 3xx, 1 4xx, 0 5xx
traffic: 222.13KB (227457) total, 543.44KB (556480) headers (space savings 0.00%), 10.19KB (10431) data
";

    #[test]
    fn the_summary_is_read() {
        let load = Load { requests: 1814, bytes: 227_457, seconds: 3.0, failed: 3 };
        assert_eq!(parse(TEXT, 3), Some(load));
    }

    #[test]
    fn half_a_summary_is_none() {
        assert_eq!(parse(TEXT.split("traffic").next().unwrap_or_default(), 3), None);
        assert_eq!(parse("", 3), None);
    }
}
