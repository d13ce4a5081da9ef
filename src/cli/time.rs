//! Times on the command line: lengths (`300`, `5m`), moments (RFC 3339), and how moments are shown.

use std::str::FromStr as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use kromka_config::Span;
use kromka_control::Window;
use serde_json::json;

/// The longest time that may be asked for, seconds: a link for longer would outlive every key.
const LONGEST: u64 = 10 * 366 * 86_400;
/// The last second of the year 9999, the last that RFC 3339 can write.
const LAST: i64 = 253_402_300_799;

/// Reads a length of time: seconds, or a number with its unit; 1 s to 10 years.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let span = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            Span::from_str(text).map_err(|why| format!("{why}; allowed: seconds, or 90s, 5m, 2h, 7d"))?.get()
        }
    };
    if span.subsec_nanos() != 0 || !(1..=LONGEST).contains(&span.as_secs()) {
        return Err("allowed: 1 second to 10 years, in whole seconds".to_owned());
    }
    Ok(span.as_secs())
}

/// Reads a moment, as unix seconds.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    let read = || match text.parse::<i64>() {
        Ok(unix) => Some(unix),
        // The control API's own reading of times.
        Err(_) => serde_json::from_value::<Window>(json!({ "not_before": text }))
            .ok()?
            .not_before
            .map(|at| at.timestamp()),
    };
    read().filter(|unix| (0..=LAST).contains(unix)).ok_or_else(|| {
        "not a moment; allowed: RFC 3339 such as 2026-01-31T18:00:00Z, or unix seconds".to_owned()
    })
}

/// The moment as RFC 3339; the number itself where there is no such year.
pub(super) fn shown(unix: i64) -> String {
    let window = Window { not_before: clock(unix).map(Into::into), not_after: None };
    let text =
        serde_json::to_value(window).ok().and_then(|window| window["not_before"].as_str().map(str::to_owned));
    text.unwrap_or_else(|| unix.to_string())
}

/// The moment as the standard library has it; nothing before 1970 or after 9999.
pub(super) fn clock(unix: i64) -> Option<SystemTime> {
    let unix = u64::try_from(unix).ok().filter(|_| unix <= LAST)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(unix))
}

/// Now, in unix seconds.
pub(super) fn now() -> Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .context("this machine's clock stands before 1970; set it")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn lengths_are_whole_seconds_within_bounds() {
        assert_eq!(seconds("300"), Ok(300));
        assert_eq!(seconds("5m"), Ok(300));
        for text in ["0", "-1", "1500ms", "11y", "5000d", "99999999999999999999", ""] {
            assert!(seconds(text).unwrap_err().contains("allowed"), "{text}");
        }
    }

    #[test]
    fn moments_are_read_and_shown_the_same() {
        assert_eq!(moment("2026-01-31T18:00:00Z"), Ok(1_769_882_400));
        assert_eq!(moment("2026-01-31T19:00:00+01:00"), Ok(1_769_882_400));
        assert_eq!(moment("1769882400"), Ok(1_769_882_400));
        assert_eq!(shown(1_769_882_400), "2026-01-31T18:00:00Z");
        for text in ["tomorrow", "2026-01-31", "-5", "", "99999999999999"] {
            assert!(moment(text).unwrap_err().contains("allowed"), "{text}");
        }
        assert_eq!(shown(i64::MAX), i64::MAX.to_string());
    }
}
