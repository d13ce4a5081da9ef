//! Calls to one disk that do not come back: who wants what is on it is served from upstream, and nobody else
//! notices. They hang longer than anybody here waits, so whatever ends has not waited for them.

use std::cell::Cell;

use rustix::process::Signal;

use super::stand::{Shown, Stand, files};
use crate::world::{Fault, until, within};

/// How long a call hangs: an hour.
const HANG: &str = "delay_enter=3600s";

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn what_is_on_a_disk_whose_reads_hang_comes_from_upstream_and_all_else_goes_on() {
    let mut stand = Stand::start().await;
    let [first, second] = stand.fill(40).await;
    let fault = Fault::on_files(stand.process(), "pread64", HANG, &files(&first)).await;
    // More at once than the edge has workers.
    let waiting: Vec<_> = first.iter().map(|thing| tokio::spawn(stand.asking(thing))).collect();
    for thing in &second {
        let got = stand.asking(thing).await;
        assert!(got.edge_hit(), "the other disk serves: {}", got.header("cache-status"));
    }
    for waiting in waiting {
        within("an object of the disk that hangs", waiting).await.unwrap();
    }
    stand.goes_out(1, Shown::Words("no byte within")).await;
    for thing in first.iter().chain(&second) {
        assert!(stand.asking(thing).await.edge_hit(), "{}: once it is out it is like any other", thing.path);
    }
    assert_eq!(fault.hits(), 0, "a call that hangs for an hour has ended: somebody may have waited for it");
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn a_disk_whose_writes_hang_is_taken_out_and_no_viewer_waits_for_it() {
    let mut stand = Stand::start().await;
    let fault = Fault::in_thread(stand.process(), "kromka-disk-0", "pwrite64", HANG).await;
    for _ in 0..100 {
        let (path, seed) = stand.publish();
        stand.get(&path, seed).await;
        assert!(stand.get(&path, seed).await.edge_hit(), "{path}: memory has it");
    }
    assert!(stand.disk(1).await.objects > 10, "the other disk takes its share");
    until("the disk that hangs is out, while viewers come", || async {
        let (path, seed) = stand.publish();
        stand.get(&path, seed).await;
        (stand.disk(0).await.outs > 0).then_some(())
    })
    .await;
    stand.goes_out(1, Shown::Words("takes longer than")).await;
    assert_eq!(fault.hits(), 0, "a call that hangs for an hour has ended: somebody may have waited for it");
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn the_end_does_not_wait_for_a_disk_that_hangs() {
    let mut stand = Stand::start().await;
    let fault = Fault::in_thread(stand.process(), "kromka-disk-0", "pwrite64", HANG).await;
    for _ in 0..10 {
        let (path, seed) = stand.publish();
        stand.get(&path, seed).await;
    }
    let last = Cell::new(None);
    until("a write hangs: it is held in the same call as before", || async {
        let held = fault.held();
        (held.is_some() && last.replace(held.clone()) == held).then_some(())
    })
    .await;
    let process = stand.process();
    stand.fleet.edges[0].process().signal(Signal::TERM);
    // What strace holds ends only when strace lets go, so one looks whether all else has.
    until("it has ended, but for the thread that hangs", || async {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('Z')).then_some(())
    })
    .await;
    assert_eq!(fault.hits(), 0, "the call that hangs for an hour has ended: the end may have waited for it");
    drop(fault);
    assert!(stand.fleet.edges[0].stop().await.success());
}
