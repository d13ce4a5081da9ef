//! Calls to one disk that do not come back: who wants what is on it is served from upstream, and nobody else
//! notices. Times are held against the hang, of which they have to be a small part.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::stand::{Stand, files};
use crate::world::{Fault, until, within};

/// How long a call hangs.
const HANG: Duration = Duration::from_secs(40);

fn hang() -> String {
    format!("delay_enter={}s", HANG.as_secs())
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn what_is_on_a_disk_whose_reads_hang_comes_from_upstream_and_all_else_goes_on() {
    let mut stand = Stand::start().await;
    let [first, second] = stand.fill(40).await;
    let _fault = Fault::on_files(stand.process(), "pread64", &hang(), &files(&first)).await;
    let begun = Instant::now();
    // More at once than the edge has workers.
    let waiting: Vec<_> = first.iter().map(|thing| tokio::spawn(stand.asking(thing))).collect();
    for thing in &second {
        let got = stand.asking(thing).await;
        assert!(got.edge_hit(), "the other disk serves: {}", got.header("cache-status"));
    }
    assert!(begun.elapsed() < HANG / 4, "the other disk waited for this one: {:?}", begun.elapsed());
    for waiting in waiting {
        within("an object of the disk that hangs", waiting).await.unwrap();
    }
    assert!(begun.elapsed() < HANG / 2, "viewers waited for the disk: {:?}", begun.elapsed());
    stand.goes_out(1).await;
    let begun = Instant::now();
    for thing in first.iter().chain(&second) {
        assert!(stand.asking(thing).await.edge_hit());
    }
    assert!(begun.elapsed() < HANG / 4, "once it is out nobody waits: {:?}", begun.elapsed());
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn a_disk_whose_writes_hang_is_taken_out_and_no_viewer_waits_for_it() {
    let mut stand = Stand::start().await;
    let _fault = Fault::in_thread(stand.process(), "kromka-disk-0", "pwrite64", &hang()).await;
    let begun = Instant::now();
    for _ in 0..100 {
        let (path, seed) = stand.publish();
        stand.get(&path, seed).await;
        assert!(stand.get(&path, seed).await.edge_hit(), "{path}: memory has it");
    }
    assert!(begun.elapsed() < HANG / 2, "viewers waited for the disk: {:?}", begun.elapsed());
    assert!(stand.disk(1).await.objects > 10, "the other disk takes its share");
    while stand.disk(0).await.outs == 0 {
        let (path, seed) = stand.publish();
        stand.get(&path, seed).await;
        assert!(begun.elapsed() < HANG, "it is in though it hangs");
    }
    stand.goes_out(1).await;
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn the_end_does_not_wait_for_a_disk_that_hangs() {
    let mut stand = Stand::start().await;
    let fault = Fault::in_thread(stand.process(), "kromka-disk-0", "pwrite64", &hang()).await;
    for _ in 0..10 {
        let (path, seed) = stand.publish();
        stand.get(&path, seed).await;
    }
    let begun = Instant::now();
    let process = stand.process();
    stand.fleet.edges[0].process().signal(Signal::TERM);
    // What strace holds ends only when strace lets go, so one looks whether all else has.
    until("it has ended, but for the thread that hangs", || async {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('Z')).then_some(())
    })
    .await;
    assert!(begun.elapsed() < HANG / 2, "the end waited for the disk: {:?}", begun.elapsed());
    drop(fault);
    assert!(stand.fleet.edges[0].stop().await.success());
}
