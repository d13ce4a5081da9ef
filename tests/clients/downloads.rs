//! curl resumes a download on another edge, by ranges, byte for byte.

use std::path::Path;
use std::process::Command;

use crate::world::command::run;
use crate::world::fleet::Plan;
use crate::world::{Fleet, Process, Ran, media, until};

const FILM: &str = "/stream/film.mp4";

async fn film() -> (tempfile::TempDir, Vec<u8>, Fleet) {
    let folder = tempfile::tempdir().unwrap();
    let film = media::noise(12, 30_000_000);
    std::fs::create_dir(folder.path().join("stream")).unwrap();
    std::fs::write(folder.path().join(&FILM[1..]), &film).unwrap();
    let fleet = Plan::folder(folder.path()).edges(2).start().await;
    (folder, film, fleet)
}

fn curl(args: &[&str], to: &Path, url: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail", "--noproxy", "*"]).args(args).arg("-o").arg(to).arg(url);
    command
}

fn well(ran: &Ran) {
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.everything());
}

#[tokio::test]
#[ignore = "needs curl, which tests/run installs"]
async fn a_download_whose_edge_is_killed_goes_on_at_another_edge() {
    let (_media, film, mut fleet) = film().await;
    let file = fleet.folder().join("film.mp4");
    // Slow enough to be caught in the middle.
    let first = curl(&["--limit-rate", "10M"], &file, &fleet.signed_at(0, FILM));
    let mut first = Process::start("curl", first, fleet.folder());
    until("a part has arrived", || async {
        let length = std::fs::metadata(&file).map_or(0, |file| file.len());
        (length > 2_000_000).then_some(())
    })
    .await;
    fleet.edges[0].kill();
    let status = first.end().await;
    assert!(!status.success(), "a download without its end succeeded");
    let part = std::fs::read(&file).unwrap();
    assert!(part.len() < film.len() && film.starts_with(&part), "a part of {} bytes", part.len());

    well(&run(curl(&["-C", "-"], &file, &fleet.signed_at(1, FILM))).await);
    assert!(std::fs::read(&file).unwrap() == film, "the two parts are not the file");
}

#[tokio::test]
#[ignore = "needs curl, which tests/run installs"]
async fn pieces_of_two_edges_over_two_protocols_are_one_file() {
    let (_media, film, fleet) = film().await;
    let mut whole = Vec::new();
    let step = 7_000_001;
    for (n, start) in (0..film.len()).step_by(step).enumerate() {
        let range = format!("{start}-{}", start + step - 1);
        let file = fleet.folder().join(format!("part-{n}"));
        let protocol = if n % 3 == 0 { "--http2-prior-knowledge" } else { "--http1.1" };
        well(&run(curl(&["-r", &range, protocol], &file, &fleet.signed_at(n % 2, FILM))).await);
        whole.extend(std::fs::read(&file).unwrap());
    }
    assert!(whole == film);
}
