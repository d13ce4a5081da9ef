//! Reads and writes of one disk that fail: viewers get their bytes, the disk goes out, the other serves.

use super::stand::{LENGTH, Shown, Stand, files};
use crate::world::{Fault, until};

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn a_disk_that_cannot_be_read_is_taken_out_while_the_other_serves_and_every_byte_is_right() {
    let mut stand = Stand::start().await;
    let [first, second] = stand.fill(24).await;
    let fault = Fault::on_files(stand.process(), "pread64", "error=EIO", &files(&first)).await;
    for (bad, good) in first.iter().zip(second.iter().cycle()) {
        stand.asking(bad).await;
        let got = stand.asking(good).await;
        assert!(got.edge_hit(), "the other disk serves: {}", got.header("cache-status"));
    }
    assert!(fault.hits() > 0, "no read failed");
    stand.goes_out(1, Shown::Errors(0.0)).await;
    // What was on it has been fetched once, and kept.
    for thing in &first {
        assert!(stand.asking(thing).await.edge_hit(), "{}", thing.path);
    }
    drop(fault);
    stand.comes_back().await;
    assert!(stand.disk(0).await.objects < first.len() as u64, "it begins empty");
    for thing in first.iter().chain(&second) {
        stand.asking(thing).await;
    }
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn a_disk_that_takes_no_bodies_is_taken_out_while_memory_and_the_other_take_what_comes() {
    cannot_write("pwrite64").await;
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn a_disk_that_gives_no_space_is_taken_out_while_memory_and_the_other_take_what_comes() {
    cannot_write("fallocate").await;
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn a_disk_that_takes_no_journal_is_taken_out_while_memory_and_the_other_take_what_comes() {
    cannot_write("write").await;
}

/// Failures that take a disk out.
const FAILURES: usize = 5;
/// Objects until then at most: after each failure a disk rests for a second.
const OBJECTS: usize = 5000;

/// An edge whose first disk fails in one call of those that write: all that memory has room for is a hit at once.
async fn cannot_write(call: &str) {
    let mut stand = Stand::start().await;
    goes_out_by(&mut stand, call, 1).await;
    stand.comes_back().await;
}

#[tokio::test]
#[ignore = "needs strace, which tests/run installs, and leave to trace"]
async fn a_disk_that_came_back_and_fails_again_goes_out_again_and_comes_back_again() {
    let mut stand = Stand::start().await;
    for times in 1..=2 {
        goes_out_by(&mut stand, "pwrite64", times).await;
        stand.comes_back().await;
    }
    // And works as before.
    until("it takes what comes", || async {
        let (path, seed) = stand.publish();
        stand.get(&path, seed).await;
        (stand.disk(0).await.objects > 0).then_some(())
    })
    .await;
}

/// The first disk fails in `call` until it goes out, which is the time numbered so.
async fn goes_out_by(stand: &mut Stand, call: &str, times: u64) {
    let fault = Fault::in_thread(stand.process(), "kromka-disk-0", call, "error=EIO").await;
    let before = stand.errors().await;
    let (mut asked, mut held) = (0, 0);
    while stand.disk(0).await.outs < times {
        assert!(asked < OBJECTS, "{call}: the disk is in after {} failures", fault.hits());
        let room = stand.memory().await;
        let (path, seed) = stand.publish();
        stand.get(&path, seed).await;
        let again = stand.get(&path, seed).await;
        asked += 1;
        if room > 4 * LENGTH as u64 {
            held += 1;
            assert!(again.edge_hit(), "{call}: {room} bytes free, and {}", again.header("cache-status"));
        }
    }
    assert!(held >= FAILURES, "{call}: {held} of {asked} had room");
    assert!(fault.hits() >= FAILURES, "{call}: {}", fault.hits());
    stand.goes_out(times, Shown::Errors(before)).await;
    assert!(stand.disk(1).await.objects > 0, "{call}: the other took nothing");
}
