//! An S3 server as the source: it plays, and it is stopped in the middle of a fill.

use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::StreamExt;
use reqwest::Method;
use rustix::process::Signal;

use crate::live::Stream;
use crate::world::command::run;
use crate::world::fleet::Plan;
use crate::world::{Process, Up, Viewer, installed, media, player, ports, until, within};

const BUCKET: &str = "kromka-scenario";
const FILM: &str = "/stream/film.mp4";
/// Long enough to be caught in the middle.
const FILM_LENGTH: usize = 100_000_000;
const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "scenario"),
    ("AWS_SECRET_ACCESS_KEY", "scenario-secret"),
    ("AWS_REGION", "us-east-1"),
];

/// moto's server, and the Python beside it, which has boto3.
struct Bucket {
    url: String,
    process: Process,
    folder: tempfile::TempDir,
}

fn program(name: &str) -> PathBuf {
    installed("target/tests/venv/bin/moto_server", Some("KROMKA_MOTO")).with_file_name(name)
}

impl Bucket {
    async fn start() -> Bucket {
        let bucket = Bucket::empty().await;
        bucket.fill().await;
        bucket
    }

    /// Without even the bucket itself.
    async fn empty() -> Bucket {
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free();
        let url = format!("http://127.0.0.1:{port}");
        let process = Bucket::serve(port, folder.path());
        let bucket = Bucket { url, process, folder };
        bucket.answers().await;
        bucket
    }

    /// Puts objects in, below the prefix, in this order; makes the bucket if there is none.
    async fn put(&self, objects: &[(String, Vec<u8>)]) {
        let folder = tempfile::tempdir().unwrap();
        let script = "
import boto3, sys
url, bucket = sys.argv[1:3]
s3 = boto3.client('s3', endpoint_url=url)
s3.create_bucket(Bucket=bucket)
for pair in sys.argv[3:]:
    path, file = pair.split('=')
    s3.put_object(Bucket=bucket, Key='published' + path, Body=open(file, 'rb').read())
";
        let mut command = Command::new(program("python"));
        command.arg("-c").arg(script).args([&self.url, BUCKET]).envs(KEYS);
        for (n, (path, body)) in objects.iter().enumerate() {
            let file = folder.path().join(n.to_string());
            std::fs::write(&file, body).unwrap();
            command.arg(format!("{path}={}", file.display()));
        }
        let ran = run(command).await;
        assert_eq!(ran.code, 0, "{}", ran.everything());
    }

    fn serve(port: u16, folder: &Path) -> Process {
        let mut command = Command::new(program("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        Process::start("moto", command, folder)
    }

    async fn answers(&self) {
        let viewer = Viewer::new();
        until("the S3 server answers", || async {
            viewer.try_ask(Method::GET, &format!("{}/moto-api/", self.url), &[]).await.ok().map(|_| ())
        })
        .await;
    }

    /// Makes the bucket, and puts the sample and a film into it, below a prefix.
    async fn fill(&self) {
        let film = self.folder.path().join("film.mp4");
        if !film.exists() {
            std::fs::write(&film, media::noise(13, FILM_LENGTH)).unwrap();
        }
        let script = "
import boto3, os, sys
url, bucket, root, film = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=url)
s3.create_bucket(Bucket=bucket)
for folder, _, names in os.walk(os.path.join(root, 'stream')):
    for name in names:
        path = os.path.join(folder, name)
        s3.put_object(Bucket=bucket, Key='published/' + os.path.relpath(path, root), Body=open(path, 'rb').read())
s3.put_object(Bucket=bucket, Key='published/stream/film.mp4', Body=open(film, 'rb').read())
";
        let mut command = Command::new(program("python"));
        command.arg("-c").arg(script).args([&self.url, BUCKET]).arg(media::root()).arg(film).envs(KEYS);
        let ran = run(command).await;
        assert_eq!(ran.code, 0, "{}", ran.everything());
    }

    /// The power is cut and comes back; the content is put in again.
    async fn restart(&mut self) {
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        self.process = Bucket::serve(port, self.folder.path());
        self.answers().await;
        self.fill().await;
    }
}

#[tokio::test]
#[ignore = "needs moto's S3 server, which tests/run installs"]
async fn media_in_a_bucket_play_byte_for_byte_and_a_dead_server_is_an_error_until_it_is_back() {
    let mut bucket = Bucket::start().await;
    let (media_url, endpoint) = (format!("s3://{BUCKET}/published"), bucket.url.clone());
    let environment = [&KEYS[..], &[("AWS_ENDPOINT_URL", endpoint.as_str())]].concat();
    let up = Up::start_with(&["--media", &media_url, "--edges", "1"], &environment).await;
    for asset in [media::DEMO, media::FMP4, media::TRACK] {
        let session = up.operator().session(asset).await;
        let played = player::play(&Viewer::new(), session["master_url"].as_str().unwrap()).await;
        let files = media::files(asset);
        assert_eq!(played.len(), files.len());
        for (path, body) in played {
            assert!(body == files[&path], "{path} differs");
        }
    }

    let wanted = serde_json::json!({"service": "default", "path": FILM, "ttl_s": 600});
    let signed = up.operator().post("/v1/sign", wanted).await.json();
    let film = signed["url"].as_str().unwrap();
    let response = Viewer::new().open(Method::GET, film, &[]).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut pieces = response.bytes_stream();
    assert!(!pieces.next().await.unwrap().unwrap().is_empty());
    bucket.process.kill();
    let (length, whole) = count(pieces).await;
    assert!(!whole, "{length} bytes of a dead server look complete");

    bucket.restart().await;
    comes_back(film).await;
}

/// How many bytes came after the first piece, and whether the body ended as if it were whole.
async fn count(
    mut pieces: impl futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin,
) -> (usize, bool) {
    let mut length = 0;
    while let Some(piece) = within("the end of a body", pieces.next()).await {
        match piece {
            Ok(piece) => length += piece.len(),
            Err(_) => return (length, false),
        }
    }
    (length, true)
}

async fn comes_back(url: &str) {
    let film = media::noise(13, FILM_LENGTH);
    until("the film plays again", || async {
        let got = Viewer::new().try_ask(Method::GET, url, &[]).await.ok()?;
        (got.status == 200 && got.body.is_ok_and(|body| body == film)).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs moto's S3 server, which tests/run installs"]
async fn a_server_that_freezes_in_the_middle_of_a_fill_is_an_error_in_bounded_time() {
    let mut bucket = Bucket::start().await;
    let source = format!(
        "{{ s3 = \"s3://{BUCKET}/published\", endpoint = {:?}, region = \"us-east-1\", access_key = \"scenario\", \
         secret_key = \"scenario-secret\" }}",
        bucket.url
    );
    let fleet = Plan::over(source)
        .with("origin", "cache", "stall = \"2s\"\nfirst_byte = \"2s\"")
        .with("edge", "cache", "stall = \"4s\"")
        .with("edge", "shield", "stall = \"4s\"")
        .start()
        .await;
    let (film, whole) = (fleet.signed(FILM), media::noise(13, FILM_LENGTH));
    for viewer in [Viewer::new(), Viewer::h2()] {
        let response = viewer.open(Method::GET, &film, &[]).await.unwrap();
        bucket.process.signal(Signal::STOP);
        let (length, ended) = count(response.bytes_stream()).await;
        assert!(!ended, "{length} bytes of a frozen server look complete");
        let got = viewer.get(&fleet.signed("/stream/track/96k/000.ts")).await;
        assert!([502, 504].contains(&got.status) && !got.slug().is_empty(), "{}", got.status);
        bucket.process.signal(Signal::CONT);
        until("the server has thawed", || async {
            let got =
                viewer.try_ask(Method::GET, &fleet.signed("/stream/track/96k/001.ts"), &[]).await.ok()?;
            (got.status == 200).then_some(())
        })
        .await;
        let wanted = [("range", "bytes=-1000")];
        until("the end of the film is served", || async {
            let got = viewer.try_ask(Method::GET, &film, &wanted).await.ok()?;
            let end = got.body.ok()?;
            (got.status == 206 && whole.ends_with(&end)).then_some(())
        })
        .await;
    }
    comes_back(&film).await;
}

#[tokio::test]
#[ignore = "needs moto's S3 server, which tests/run installs"]
async fn a_low_latency_stream_in_a_bucket_goes_on_for_who_waits_and_is_asked_for_by_its_version() {
    let bucket = Bucket::empty().await;
    let stream = Stream { target: 6, ..Stream::in_parts(5, 8, 1) };
    let objects = |stream: &Stream| {
        let mut objects: Vec<_> =
            (stream.first..stream.end).map(|n| (stream.segment(n), stream.bytes(n))).collect();
        objects.push((stream.path(), stream.playlist().into_bytes()));
        objects
    };
    bucket.put(&objects(&stream)).await;
    let source = format!(
        "{{ s3 = \"s3://{BUCKET}/published\", endpoint = {:?}, access_key = \"scenario\", secret_key = \"scenario-secret\" }}",
        bucket.url
    );
    let fleet = Plan::over(source).start().await;
    let (viewer, url) = (Viewer::new(), fleet.signed(&stream.path()));
    assert_eq!(viewer.get(&url).await.text(), stream.playlist());
    let waiting = tokio::spawn({
        let (viewer, url) = (viewer.clone(), format!("{url}?_HLS_msn=8&_HLS_part=1"));
        async move { viewer.get(&url).await }
    });
    until("it is held", || async { (fleet.edges[0].metric("kromka_live_held").await == 1.0).then_some(()) })
        .await;
    let news = Stream { parts: Some(2), ..stream.clone() };
    bucket.put(&objects(&news)).await;
    let got = waiting.await.unwrap();
    assert_eq!((got.status, got.text()), (200, news.playlist().as_str()));
    assert_eq!(viewer.get(&fleet.signed(&stream.segment(7))).await.bytes(), stream.bytes(7));
    // What had not changed was not sent again.
    let asked = viewer.get(&format!("{}/metrics", fleet.shield.admin)).await;
    let unchanged = asked
        .text()
        .lines()
        .filter(|line| line.starts_with("kromka_source_requests_total{") && line.contains("outcome=\"3xx\""));
    let unchanged: f64 = unchanged.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert!(unchanged >= 1.0, "{}", asked.text());
}
