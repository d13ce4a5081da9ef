//! CPU time that a server has used, its process and all that descend from it; and that of load tools.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What `/proc/PID/stat` says of one process, as far as it is asked here (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time, in ticks.
    ticks: u64,
    /// The same of children that have ended and been waited for.
    children: u64,
}

/// User and system time of the process `pid` and its living descendants since they began.
///
/// # Errors
/// There is no such process.
pub fn of_tree(pid: u32) -> Result<Duration> {
    let stats = all()?;
    if !stats.contains_key(&pid) {
        bail!("process {pid} is gone: the server under test has crashed");
    }
    let ticks: u64 =
        stats.iter().filter(|(id, _)| descends(**id, pid, &stats)).map(|(_, stat)| stat.ticks).sum();
    Ok(time(ticks))
}

/// User and system time of all programs that this process has run to their end.
///
/// # Errors
/// `/proc` cannot be read.
pub fn of_tools() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    Ok(time(parse(&text).context("/proc/self/stat is not as proc_pid_stat(5) says")?.children))
}

fn time(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn descends(mut id: u32, from: u32, stats: &HashMap<u32, Stat>) -> bool {
    // A process's number is read before its parent's may have been given anew: never more steps than processes.
    for _ in 0..stats.len() {
        if id == from {
            return true;
        }
        match stats.get(&id) {
            Some(stat) if stat.parent != 0 => id = stat.parent,
            _ => return false,
        }
    }
    false
}

fn all() -> Result<HashMap<u32, Stat>> {
    let mut stats = HashMap::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended since is not missed.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(stat) = parse(&text) {
            stats.insert(pid, stat);
        }
    }
    Ok(stats)
}

/// Reads the line; the name, which may contain anything, ends at the last bracket.
fn parse(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    // The first of these is field 3 of the manual.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let parent = u32::try_from(number(4)?).ok()?;
    Some(Stat { parent, ticks: number(14)? + number(15)?, children: number(16)? + number(17)? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "812 (a (b) c) S 77 812 812 0 -1 4194560 1 2 3 4 150 25 9 9 20 0 1 0 99 1000 10";
        assert_eq!(parse(line), Some(Stat { parent: 77, ticks: 175, children: 18 }));
    }

    #[test]
    fn a_line_cut_short_is_no_stat() {
        assert_eq!(parse("812 (nginx) S 77 812"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn descendants_count_and_strangers_do_not() {
        let stat = |parent| Stat { parent, ticks: 1, children: 0 };
        let stats =
            HashMap::from([(1, stat(0)), (10, stat(1)), (11, stat(10)), (12, stat(11)), (20, stat(1))]);
        let tree: Vec<bool> = [10, 11, 12, 20, 1].map(|id| descends(id, 10, &stats)).into();
        assert_eq!(tree, [true, true, true, false, false]);
    }

    #[test]
    fn a_program_that_has_ended_counts_as_a_tool() {
        let before = of_tools().unwrap();
        while of_tools().unwrap() == before {
            std::process::Command::new("sh").args(["-c", "seq 200000 >/dev/null"]).status().unwrap();
        }
    }

    #[test]
    fn this_process_has_used_some_time() {
        let begun = of_tree(std::process::id()).unwrap();
        let mut sum = 0_u64;
        // Until the clock of the system has ticked, however fast the machine is.
        while of_tree(std::process::id()).unwrap() == begun {
            sum = (0..1_000_000_u64).fold(sum, |sum, n| sum ^ n.wrapping_mul(sum | 1));
        }
        assert!(of_tree(std::process::id()).unwrap() > begun, "{sum}");
    }
}
