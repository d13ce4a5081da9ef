//! Long work, watched until it ends: a bar for each node on a terminal, a line now and then elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal as _, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kromka_control::{Api, NodeProgress, Operation, OperationState, Progress};

use super::exit::INTERRUPTED;
use super::output::{Output, say};
use super::progress::{counted, table};
use super::remote::explained;

/// Without a terminal progress is told that often.
const PACE: Duration = Duration::from_secs(5);

/// Prints an operation that was just asked for: at once, or with `wait` when it has ended.
pub(super) async fn answer(api: &Api, operation: Operation, wait: bool, output: Output) -> Result<ExitCode> {
    if wait {
        return to_the_end(api, &operation.id, output).await;
    }
    output.show(&operation, table)?;
    if !operation.state.finished() {
        say(format_args!("`kromka operations {} --wait` follows it", operation.id));
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for an operation and prints it; 0 only if all of it succeeded.
pub(super) async fn to_the_end(api: &Api, id: &str, output: Output) -> Result<ExitCode> {
    let mut watch = Watch::new(stderr().is_terminal());
    let ended = tokio::select! {
        ended = api.wait(id, |operation| watch.look(operation)) => ended,
        _ = tokio::signal::ctrl_c() => {
            watch.clear();
            say(format_args!("kromka: the work goes on; `kromka operations {id} --wait` follows it again"));
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    watch.clear();
    let operation = ended.map_err(explained)?;
    output.show(&operation, table)?;
    if operation.state == OperationState::Succeeded {
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!("kromka: {}", failure(&operation)));
    Ok(ExitCode::FAILURE)
}

/// What did not succeed, node by node.
fn failure(operation: &Operation) -> String {
    let mut text = format!("{} {} {}", operation.kind, operation.id, operation.state);
    for node in operation.nodes.iter().filter(|node| node.state != OperationState::Succeeded) {
        let why = node.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        let why = why.replace(char::is_control, " ");
        text.push_str(&format!("\n  {} {}{why}", node.node, node.state));
    }
    text
}

/// What has been shown so far.
struct Watch {
    bars: Option<Bars>,
    told: Option<(Instant, String)>,
}

struct Bars {
    all: MultiProgress,
    of: HashMap<String, ProgressBar>,
}

impl Watch {
    fn new(terminal: bool) -> Self {
        let all = || MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { bars: terminal.then(|| Bars { all: all(), of: HashMap::new() }), told: None }
    }

    fn look(&mut self, operation: &Operation) {
        match &mut self.bars {
            Some(bars) => bars.look(operation),
            None => {
                if let Some(line) = self.line(operation, Instant::now()) {
                    say(format_args!("{line}"));
                }
            }
        }
    }

    /// A line if there is news, but not one for every object.
    fn line(&mut self, operation: &Operation, now: Instant) -> Option<String> {
        let done = operation.nodes.iter().filter(|node| node.state.finished()).count();
        let [objects, bytes] = counted(operation.kind, &operation.progress);
        let objects = if objects.is_empty() { objects } else { format!(", {objects} objects, {bytes}") };
        let nodes = operation.nodes.len();
        let line = format!("{} {}, {done}/{nodes} nodes{objects}", operation.kind, operation.state);
        let due = match &self.told {
            Some((at, before)) => {
                *before != line && (operation.state.finished() || now.duration_since(*at) >= PACE)
            }
            None => true,
        };
        due.then(|| {
            self.told = Some((now, line.clone()));
            line
        })
    }

    fn clear(&mut self) {
        // Each bar has to end: one that is dropped unfinished draws itself once more, over the answer.
        for bar in self.bars.iter().flat_map(|bars| bars.of.values()) {
            bar.finish_and_clear();
        }
    }
}

impl Bars {
    fn look(&mut self, operation: &Operation) {
        for node in &operation.nodes {
            let bar = self.of.entry(node.node.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::no_length().with_style(style()));
                bar.with_prefix(node.node.replace(char::is_control, " "))
            });
            draw(bar, node);
        }
    }
}

fn draw(bar: &ProgressBar, node: &NodeProgress) {
    let (done, total, message) = match node.progress.filter(|progress| progress.objects_total > 0) {
        Some(Progress { objects_done: done, objects_total: total, bytes_done, .. }) => {
            (done, total, format!("{done}/{total} objects, {}, {}", HumanBytes(bytes_done), node.state))
        }
        // A purge counts nothing: it is there or not.
        None => (u64::from(node.state.finished()), 1, node.state.to_string()),
    };
    // Every setter may draw, so the words come first.
    bar.set_message(message);
    bar.set_length(total);
    bar.set_position(done);
}

/// A bar that stands alone; it shows on a terminal only.
pub(super) fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style());
    bar.with_prefix(name.replace(char::is_control, " "))
}

/// Without colour, so that there is nothing to switch off.
fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix:16} [{bar:30}] {msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    fn operation(state: &str, done: u64) -> Operation {
        serde_json::from_value(json!({
            "id": "op", "kind": "prewarm", "state": state,
            "progress": {"objects_done": done, "objects_total": 9, "bytes_done": done * 1024, "bytes_total": 0},
            "nodes": [{"node": "e1", "state": "succeeded", "progress": {"objects_done": 3, "objects_total": 3,
                       "bytes_done": 10, "bytes_total": 10}},
                      {"node": "e2", "state": state, "error": "/a.ts: 404\n\u{1b}[2J"}]
        }))
        .unwrap()
    }

    #[test]
    fn a_failure_names_the_nodes_and_their_errors() {
        let text = failure(&operation("failed", 3));
        assert_eq!(text, "prewarm op failed\n  e2 failed: /a.ts: 404  [2J");
    }

    #[test]
    fn lines_come_with_news_and_not_too_often() {
        let mut watch = Watch::new(false);
        let start = Instant::now();
        let first = watch.line(&operation("running", 1), start).unwrap();
        assert_eq!(first, "prewarm running, 1/2 nodes, 1/9 objects, 1.00 KiB");
        assert_eq!(watch.line(&operation("running", 2), start), None, "too soon");
        assert!(watch.line(&operation("running", 2), start + PACE).is_some());
        assert_eq!(watch.line(&operation("running", 2), start + 3 * PACE), None, "nothing new");
        assert!(watch.line(&operation("failed", 2), start + PACE).is_some(), "the end is always told");
    }

    #[test]
    fn every_node_has_a_bar() {
        let mut bars =
            Bars { all: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), of: HashMap::new() };
        bars.look(&operation("running", 1));
        bars.look(&operation("succeeded", 9));
        assert_eq!(bars.of.len(), 2);
        assert_eq!((bars.of["e1"].position(), bars.of["e1"].length()), (3, Some(3)));
        assert_eq!((bars.of["e2"].position(), bars.of["e2"].length()), (1, Some(1)));
        assert_eq!(bars.of["e2"].message(), "succeeded");
    }
}
