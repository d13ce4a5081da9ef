#![allow(clippy::unwrap_used, clippy::expect_used)]

mod mistakes;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::{Access, ByteSize, SourceConfig, Span};

/// The shortest edge that loads.
const EDGE: &str = r#"role = "edge"
[node]
id = "edge-1"
token = "0123456789abcdef"
[listen]
http = "127.0.0.1:0"
[shield]
urls = ["http://127.0.0.1:8081"]
[[service]]
id = "default"
access = "public"
"#;

const ORIGIN: &str = r#"role = "origin"
[node]
id = "origin-1"
token = "0123456789abcdef"
[listen]
http = "127.0.0.1:0"
[[service]]
id = "default"
source = { dir = "media" }
"#;

const SELECTOR: &str = r#"role = "selector"
node_token = "0123456789abcdef"
[listen]
http = "127.0.0.1:0"
[[service]]
id = "default"
"#;

fn no_env(_: &str) -> Option<String> {
    None
}

fn name() -> PathBuf {
    PathBuf::from("/etc/kromka/test.toml")
}

#[test]
fn the_shortest_files_load_with_defaults() {
    let edge = read_edge(EDGE, &name(), &no_env).unwrap();
    assert_eq!(edge.cache, crate::CacheConfig::default());
    assert_eq!(edge.limits, crate::Limits::default());
    assert_eq!(edge.node.site, "default");
    assert_eq!(edge.node.token.expose(), "0123456789abcdef");
    assert_eq!((edge.service[0].access, edge.service[0].prefix.as_str()), (Access::Public, "/"));
    assert_eq!(edge.listen.http.unwrap().port(), 0);
    let origin = read_origin(ORIGIN, &name(), &no_env).unwrap();
    assert!(
        matches!(&origin.service[0].source, SourceConfig::Dir(dir) if dir == Path::new("/etc/kromka/media"))
    );
    let selector = read_selector(SELECTOR, &name(), &no_env).unwrap();
    assert_eq!(selector.sessions, crate::SessionsConfig::default());
    assert_eq!(selector.routing, crate::RoutingConfig::default());
    assert!(selector.player && selector.token.is_empty());
}

#[test]
fn settings_arrive_where_they_belong() {
    let text = EDGE.to_owned()
        + r#"prefix = "/music/"
query = ["track"]
cors_origins = ["https://www.example.com"]
secrets = [{ kid = "a", secret = "0123456789abcdef0123456789abcdef" }]
[cache]
memory = 1_048_576
block = "64KiB"
disk = { path = "cache", size = "1GB" }
stall = "1m"
"#;
    let edge = read_edge(&text, &name(), &no_env).unwrap();
    assert_eq!(edge.service[0].prefix, "/music", "kept without the slash at its end");
    assert_eq!(edge.service[0].query, ["track"]);
    assert_eq!(edge.service[0].secrets[0].kid, "a");
    assert_eq!((edge.cache.memory, edge.cache.block), (ByteSize::mib(1), ByteSize::kib(64)));
    assert_eq!(edge.cache.disk[0].size, ByteSize(1_000_000_000));
    assert_eq!(edge.cache.disk[0].path, Path::new("/etc/kromka/cache"));
    assert_eq!(edge.cache.stall, Span::secs(60));
}

#[test]
fn disks_are_one_table_or_several() {
    let disks =
        |text: &str| read_edge(&format!("{EDGE}\n{text}"), &name(), &no_env).map(|edge| edge.cache.disk);
    assert_eq!(disks("").unwrap(), []);
    let one = disks("[cache.disk]\npath = \"a\"\nsize = \"1GiB\"\n").unwrap();
    assert_eq!((one.len(), one[0].weight), (1, 100));
    let two = "[[cache.disk]]\npath = \"a\"\nsize = \"1GiB\"\n[[cache.disk]]\npath = \"b\"\nsize = \"2GiB\"\nweight = 50\n";
    let two_disks = disks(two).unwrap();
    assert_eq!((two_disks.len(), two_disks[1].weight), (2, 50));
    let errors = disks(&two.replace("\"b\"", "\"a\"")).unwrap_err();
    assert_eq!(errors[0].key, "cache.disk[1].path");
}

#[test]
fn an_error_prints_as_one_line_that_editors_understand() {
    let text = EDGE.replace("[shield]", "[cache]\n# größer\nmemory = \"1B\"\n[shield]");
    let error = parse_edge(&text, Path::new("edge.toml")).unwrap_err();
    assert_eq!(error.to_string(), "edge.toml:9:10: cache.memory: 1B is too small; allowed: 1MiB..64TiB");
    let error = load_edge(Path::new("/nowhere/edge.toml")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/edge.toml: cannot be read: "), "{error}");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = r#"role = "edge"
[node]
id = "Edge 1"
[listen]
http = "127.0.0.1:99999"
[cache]
memory = "1B"
blok = 1
[[service]]
prefix = "x"
"#;
    let errors = check_text(text, &name(), &no_env).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.line, error.key.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "shield.urls"),
            (2, "node.token"),
            (3, "node.id"),
            (5, "listen.http"),
            (7, "cache.memory"),
            (8, "cache.blok"),
            (9, "service[0].id"),
            (9, "service[0].access"),
            (10, "service[0].prefix"),
        ]
    );
}

#[test]
fn broken_toml_is_reported_wherever_it_breaks() {
    let text = "role = \"edge\"\n[node]\nid = \ntoken = 'x\n[listen]\nhttp = 1 2\n";
    let errors = check_text(text, &name(), &no_env).unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| error.line).collect();
    assert!(lines.starts_with(&[3, 4]) && lines.contains(&6), "{errors:#?}");
}

#[test]
fn a_flood_of_mistakes_is_cut() {
    let text = EDGE.to_owned() + &(0..1000).map(|i| format!("k{i} = 1\n")).collect::<String>();
    assert_eq!(check_text(&text, &name(), &no_env).unwrap_err().len(), 100);
}

#[test]
fn a_file_of_another_role_is_named_as_such() {
    let error = parse_edge(ORIGIN, &name()).unwrap_err();
    assert_eq!((error.line, error.column, error.key.as_str()), (1, 8, "role"));
    assert!(error.message.contains("kromka origin"), "{error}");
    assert_eq!(check_text(ORIGIN, &name(), &no_env), Ok(Role::Origin));
    assert_eq!(check_text(SELECTOR, &name(), &no_env), Ok(Role::Selector));
}

#[test]
fn secrets_come_from_files_and_the_environment_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edge.toml");
    std::fs::write(folder.path().join("token"), "from-a-file-0123\n").unwrap();
    std::fs::write(&path, EDGE.replace("\"0123456789abcdef\"", "{ file = \"token\" }")).unwrap();
    let edge = load_edge(&path).unwrap();
    assert_eq!(edge.node.token.expose(), "from-a-file-0123", "without the final newline");
    assert!(format!("{edge:?}").contains("token: ***"));
    assert_eq!(check(&path), Ok(Role::Edge));

    let text = EDGE.replace("\"0123456789abcdef\"", "{ env = \"TOKEN\" }");
    let env = |name: &str| (name == "TOKEN").then(|| "from-the-environment".to_owned());
    let edge = read_edge(&text, &name(), &env).unwrap();
    assert_eq!(edge.node.token.expose(), "from-the-environment");

    let errors = check_text(&EDGE.replace("0123456789abcdef", "hush hush"), &name(), &no_env).unwrap_err();
    assert!(!errors[0].to_string().contains("hush"), "{}", errors[0]);
}

#[test]
fn a_bucket_takes_its_keys_from_the_environment_as_a_whole() {
    let read = |source: &str, env: Env<'_>| {
        let text = ORIGIN.replace("dir = \"media\"", source);
        match read_origin(&text, &name(), env).map(|mut origin| origin.service.remove(0).source) {
            Ok(SourceConfig::S3(bucket)) => Ok(bucket),
            Ok(other) => panic!("{other:?}"),
            Err(errors) => Err(errors[0].to_string()),
        }
    };
    let bare = read("s3 = \"s3://media/a/b/\"", &no_env).unwrap();
    assert_eq!((bare.bucket.as_str(), bare.prefix.as_str()), ("media", "a/b"));
    assert_eq!((bare.region.as_str(), bare.path_style, bare.allow_http), ("us-east-1", false, false));
    assert!(bare.endpoint.is_none() && bare.access_key.is_none() && bare.secret_key.is_none());

    let aws = |name: &str| {
        let value = match name {
            "AWS_ACCESS_KEY_ID" => "id",
            "AWS_SECRET_ACCESS_KEY" => "secret",
            "AWS_SESSION_TOKEN" => "session",
            "AWS_ENDPOINT_URL" => "http://127.0.0.1:9000",
            "AWS_REGION" => "eu-1",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let bucket = read("s3 = \"s3://media\"", &aws).unwrap();
    assert_eq!((bucket.access_key.as_deref(), bucket.region.as_str()), (Some("id"), "eu-1"));
    assert_eq!(bucket.secret_key.as_ref().unwrap().expose(), "secret");
    assert_eq!(bucket.session_token.as_ref().unwrap().expose(), "session");
    assert!(bucket.path_style && bucket.allow_http, "a loopback endpoint may be plain");

    let own = read("s3 = \"s3://media\", access_key = \"a\", secret_key = \"b\"", &aws).unwrap();
    assert_eq!((own.access_key.as_deref(), own.secret_key.as_ref().unwrap().expose()), (Some("a"), "b"));
    assert!(own.session_token.is_none(), "the environment's session belongs to the environment's keys");

    let half = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "id".to_owned());
    assert!(read("s3 = \"s3://media\"", &half).unwrap_err().contains("half a pair"));
    let bad = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| "nonsense".to_owned());
    assert!(read("s3 = \"s3://media\"", &bad).unwrap_err().contains("AWS_ENDPOINT_URL of the environment"));
}

#[test]
fn a_file_that_is_no_text_or_too_large_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"role = \"edge\"\nx = \"\xff\"\n").unwrap();
    let error = load_edge(file.path()).unwrap_err();
    assert_eq!((error.line, error.column, error.message.as_str()), (2, 6, "is not UTF-8"));
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(MAX_FILE + 1).unwrap();
    assert!(load_edge(file.path()).unwrap_err().message.contains("more than 1048576 bytes"));
}
