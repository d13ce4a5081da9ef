//! What it says when it cannot start: what is wrong, where, and what to do; never a panic, never a hang.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::world::command::run;
use crate::world::process::binary;
use crate::world::{Ran, Up, kromka};

fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert_eq!(ran.stdout, "", "words belong to stderr");
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing: {}", ran.everything());
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.everything());
    assert!(ran.stderr.lines().count() <= 6, "one clear error: {}", ran.everything());
}

fn data() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_port_in_use_is_named_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = data();
    let ran = kromka(&["up", "--data", path(data.path()), "--listen", &address]).await;
    refused(&ran, &[&address, "in use", "another port"]);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_named_with_a_remedy() {
    let data = data();
    let file = data.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let inside = file.join("data");
    let ran = kromka(&["up", "--data", path(&inside)]).await;
    refused(&ran, &[path(&inside), "--data"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"in the way");
}

#[tokio::test]
async fn a_data_folder_without_the_right_to_write_is_named_with_a_remedy() {
    let data = data();
    let closed = data.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = binary();
    command.args(["up", "--data", path(&closed)]);
    if rustix::process::geteuid().is_root() {
        // Nothing is forbidden to root; nobody is nobody.
        command.uid(65534).gid(65534);
        command.current_dir("/");
    }
    let ran = run(command).await;
    refused(&ran, &[path(&closed), "writable"]);
}

#[tokio::test]
async fn a_data_folder_in_use_is_named_with_a_remedy() {
    let data = data();
    let _first = Up::start_on(data.path(), &["--edges", "1"]).await;
    let ran = kromka(&["up", "--data", path(data.path())]).await;
    refused(&ran, &[path(data.path()), "in use", "--data"]);
}

#[tokio::test]
async fn media_that_cannot_be_read_are_named_with_a_remedy() {
    let data = data();
    let file = data.path().join("film.mp4");
    std::fs::write(&file, "a file, not a folder").unwrap();
    let folder = data.path().join("data");
    for media in [path(&file), "no/such/folder"] {
        let ran = kromka(&["up", "--data", path(&folder), "--media", media]).await;
        refused(&ran, &[media, "folder"]);
    }
    let ran = kromka(&["up", "--data", path(&folder), "--media", "s3://"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (78, ""), "{}", ran.everything());
    assert!(ran.stderr.contains("s3://bucket"), "{}", ran.everything());
}

#[tokio::test]
async fn a_media_folder_without_the_right_to_read_is_named_with_a_remedy() {
    let base = data();
    std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let closed = base.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o300)).unwrap();
    let mut command = binary();
    let folder = base.path().join("data");
    command.args(["up", "--data", path(&folder), "--media", path(&closed)]);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
        command.current_dir("/");
    }
    refused(&run(command).await, &[path(&closed), "read"]);
}

#[tokio::test]
async fn an_empty_media_folder_is_served_as_what_it_is() {
    let media = data();
    let up = Up::start(&["--media", path(media.path()), "--edges", "1"]).await;
    assert!(up.ready.get("master_url").is_none_or(serde_json::Value::is_null), "{:#}", up.ready);
    let printed = up.process.printed();
    assert!(printed.contains("no playlist") && printed.contains("--asset"), "{printed}");
}

#[tokio::test]
async fn a_ready_file_that_cannot_be_written_is_named_and_one_of_an_earlier_start_is_not_believed() {
    let data = data();
    let nowhere = data.path().join("no/such/ready.json");
    let folder = data.path().join("data");
    let ran = kromka(&["up", "--data", path(&folder), "--ready-file", path(&nowhere), "--edges", "1"]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(
        ran.stderr.contains(path(&nowhere)) && ran.stderr.contains("--ready-file"),
        "{}",
        ran.everything()
    );

    let old = data.path().join("ready.json");
    std::fs::write(&old, "{}").unwrap();
    let ran =
        kromka(&["up", "--data", path(&folder), "--ready-file", path(&old), "--media", "no/such"]).await;
    assert_eq!(ran.code, 1, "{}", ran.everything());
    assert!(!old.exists(), "the file of an earlier start is still there");
}

#[tokio::test]
async fn words_that_make_no_sense_are_a_usage_error() {
    for words in [
        &["up", "--edges", "0"][..],
        &["up", "--edges", "many"],
        &["up", "--listen", "nowhere"],
        &["up", "-x"],
    ] {
        let ran = kromka(words).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{words:?}: {}", ran.everything());
        assert!(ran.stderr.contains("--help") || ran.stderr.contains("Usage"), "{}", ran.everything());
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
