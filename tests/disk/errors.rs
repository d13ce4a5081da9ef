//! Reads and writes of one disk that fail: viewers get their bytes, the disk goes out, the other serves.

use super::stand::{Stand, files};
use crate::world::Fault;

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
    stand.goes_out(1).await;
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
async fn a_disk_that_cannot_be_written_is_taken_out_while_the_other_takes_what_comes() {
    let mut stand = Stand::start().await;
    // Bodies, the space for them, the journal.
    for (time, call) in [(1, "pwrite64"), (2, "fallocate"), (3, "write")] {
        stand.comes_back().await;
        let before = stand.disk(1).await.objects;
        let fault = Fault::in_thread(stand.process(), "kromka-disk-0", call, "error=EIO").await;
        let (mut asked, mut hits) = (0, 0);
        while stand.disk(0).await.outs < time {
            let (path, seed) = stand.publish();
            stand.get(&path, seed).await;
            asked += 1;
            hits += usize::from(stand.get(&path, seed).await.edge_hit());
        }
        // What could not be written is in memory, as far as that has room.
        assert!(2 * hits >= asked, "{call}: {hits} of {asked} were still there");
        assert!(fault.hits() >= 5, "{call}: {}", fault.hits());
        stand.goes_out(time).await;
        assert!(stand.disk(1).await.objects > before, "{call}: the other took nothing");
    }
}
