//! README's blocks, run in order and as written, in a copy of what they need and in a network of their own: the fixed
//! ports of the laboratory meet nobody else's there, and all that a block starts ends with the run.
//!
//! - `blocks`: what stands between the fences, and the script that it makes.

mod blocks;

use std::path::Path;
use std::process::Command;

use blocks::{Block, Told, blocks, script};

use crate::world::command::run;
use crate::world::process::clean;

/// A folder as README supposes it: the repository's, with the release binary built (here: the one under test).
fn copy_of_the_tree() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("kromka-readme-").tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["config", "media"] {
        let copied = Command::new("cp").arg("-R").arg(root.join(part)).arg(folder.path()).status();
        assert!(copied.unwrap().success(), "cannot copy {part}");
    }
    let built = folder.path().join("target/release");
    std::fs::create_dir_all(&built).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kromka"), built.join("kromka")).unwrap();
    folder
}

/// Runs the script by bash, as the first process of its own namespaces: whatever it starts ends with it.
async fn ran_apart(folder: &Path, blocks: &[Block]) -> Told {
    std::fs::write(folder.join("readme.sh"), script(blocks)).unwrap();
    let mut command = clean(Command::new("unshare"));
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c"]);
    command.arg("ip link set lo up && exec bash readme.sh 2>&1").current_dir(folder);
    Told::of(blocks, &run(command).await)
}

#[tokio::test]
#[ignore = "needs namespaces (root), ip, curl, jq, openssl, dig and python3, which tests/run installs"]
async fn what_the_readme_says_for_operators_and_backends_works_as_written() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks = blocks(&readme);
    let folder = copy_of_the_tree();
    let told = ran_apart(folder.path(), &blocks).await;

    // The operator's: files that are right, nodes that report, and what the comments beside the commands promise.
    told.says("kromka check lab/", &["edge.toml: good", "origin.toml: good", "selector.toml: good"]);
    told.says("kromka nodes drain edge-1", &["edge-1", "origin-1", "draining", "127.0.0.1\n"]);
    told.says("kromka explain", &["distances by", r#"{"status":"ready"}"#, "kromka_cache_hits_total"]);

    // The backend's: a session and a signed URL, a fill and a purge with a receipt of both nodes.
    told.says("/v1/playback-sessions", &["master_url", "alternates", "steering_url", "start_expires_at"]);
    told.says("/v1/sign", &["/stream/track/320k/000.ts", "expires_at"]);
    told.says("/v1/prewarm", &["event: done", r#""state": "succeeded""#, "prewarm succeeded, 2/2 nodes"]);
    told.says("kromka purge", &["purge succeeded, 2/2 nodes"]);

    // Signing without the selector: an edge takes it, and says who else signs how.
    told.says("python3 sign.py", &["HTTP/1.1 200 OK", "#EXTM3U", "it opens /stream/demo/master.m3u8"]);
    told.says("openssl genpkey", &["http://127.0.0.1:8080/~", "good until"]);

    let logs = ["edge", "origin", "selector"].map(|role| folder.path().join(format!("lab/{role}.log")));
    for log in logs {
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(!text.contains("panicked at"), "{}: {text}", log.display());
    }
}

/// The test itself can fail: a flag that is gone stops the run, and the message names block and command.
#[tokio::test]
#[ignore = "needs namespaces (root) and ip, which tests/run installs"]
async fn a_block_that_breaks_is_named() {
    let text =
        "## An operator's first ten minutes\n```sh\necho fine\n```\n```sh\nkromka check --gone 2> why\n```\n";
    let folder = copy_of_the_tree();
    let blocks = blocks(text);
    let broken = tokio::spawn(async move { _ = ran_apart(folder.path(), &blocks).await });
    let message = broken.await.unwrap_err().into_panic();
    let message = message.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(message.contains("block 2") && message.contains("@@ failed: kromka check --gone"), "{message}");
}
