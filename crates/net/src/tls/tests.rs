//! Handshakes with a real client, and certificates that come and go.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use http::Request;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::serve::tests::http1::Http1;
use crate::serve::tests::http2::{End, Http2};
use crate::serve::tests::{Running, patient, reaches, soon, start};
use crate::{Client, ClientOptions};

const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

fn self_signed(dir: &Path) -> Tls {
    Tls::self_signed(dir, &NAMES.map(str::to_owned)).unwrap()
}

async fn shake(
    server: &Running,
    root_pem: &str,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> io::Result<client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(server.addr).await?;
    // As players have it: else each window waits for the server's delayed acknowledgement.
    stream.set_nodelay(true)?;
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

#[tokio::test]
async fn tls_1_3_and_1_2_agree_on_http2_or_http1() {
    let dir = tempfile::tempdir().unwrap();
    let tls = self_signed(dir.path());
    let pem = tls.certificate_pem();
    let server = start(patient(), Some(tls)).await;
    for (asked, got) in
        [(&version::TLS13, ProtocolVersion::TLSv1_3), (&version::TLS12, ProtocolVersion::TLSv1_2)]
    {
        let stream = shake(&server, &pem, &[asked], &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(got));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let mut client = Http2::over(stream).await;
        assert_eq!(client.get("/tls").await.body, b"true");
        assert_eq!(client.get("/broken-length").await.end, End::Reset);
        let big = client.get("/big").await;
        assert_eq!(
            (big.body.len(), big.largest),
            (64 << 20, 16_384 - 9),
            "a frame fills a record with its head"
        );

        for alpn in [["http/1.1"].as_slice(), &[]] {
            let stream = shake(&server, &pem, &[asked], alpn).await.unwrap();
            let mut client = Http1(stream);
            assert_eq!(client.get("/tls").await.body, b"true");
            assert!(!client.get("/broken-chunked").await.whole);
        }
    }
    assert_eq!(server.stats.tls_failed.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn plain_http_on_the_tls_port_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let tls = self_signed(dir.path());
    let pem = tls.certificate_pem();
    let server = start(patient(), Some(tls)).await;
    let mut client = Http1::connect(server.addr).await;
    client.say("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    client.end().await;
    reaches(&server.stats.tls_failed, 1).await;
    assert!(shake(&server, &pem, &[&version::TLS13], &[]).await.is_ok());
}

#[tokio::test]
async fn our_client_trusts_the_pair_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let tls = self_signed(dir.path());
    let pem = tls.certificate_pem();
    let server = start(patient(), Some(tls)).await;
    let request = || Request::get(format!("https://{}/tls", server.addr)).body(bytes::Bytes::new()).unwrap();
    let trusting =
        Client::new(ClientOptions { extra_root_pem: Some(pem), ..ClientOptions::default() }).unwrap();
    assert!(trusting.json::<bool>(request()).await.unwrap());
    let stranger = Client::new(ClientOptions::default()).unwrap();
    let error = stranger.json::<bool>(request()).await.unwrap_err();
    assert!(matches!(error, crate::ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_changed_pair_is_taken_over_and_a_bad_one_is_not() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let old = self_signed(dir.path()).certificate_pem();
    let new = self_signed(other.path()).certificate_pem();
    let tls = Tls::from_files(&certificate, &key).unwrap();
    let server = start(patient(), Some(tls.clone())).await;
    assert!(shake(&server, &old, &[&version::TLS13], &[]).await.is_ok());
    assert!(shake(&server, &new, &[&version::TLS13], &[]).await.is_err());

    // The new certificate with the old key: a pair that cannot work, as between two copies of a deployment.
    fs::copy(other.path().join("cert.pem"), &certificate).unwrap();
    assert!(Tls::from_files(&certificate, &key).is_err());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(tls.reloads(), 0);
    assert!(shake(&server, &old, &[&version::TLS13], &[]).await.is_ok());

    fs::copy(other.path().join("key.pem"), &key).unwrap();
    soon(async {
        while tls.reloads() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(shake(&server, &new, &[&version::TLS13], &[]).await.is_ok());
    assert_eq!(tls.certificate_pem(), new);
}

#[test]
fn a_self_signed_pair_is_kept_while_it_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let first = self_signed(dir.path()).certificate_pem();
    assert_eq!(self_signed(dir.path()).certificate_pem(), first);
    let reversed = Tls::self_signed(dir.path(), &[NAMES[1].to_owned(), NAMES[0].to_owned()]).unwrap();
    assert_eq!(reversed.certificate_pem(), first, "the order of the names means nothing");
    let mode = |file: &str| fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("key.pem"), 0o600);

    let renamed = Tls::self_signed(dir.path(), &["cdn.test".to_owned()]).unwrap().certificate_pem();
    assert_ne!(renamed, first);
    assert_eq!(mode("key.pem"), 0o600);

    // A pair that lost its key is no pair.
    fs::remove_file(dir.path().join("key.pem")).unwrap();
    let again = Tls::self_signed(dir.path(), &["cdn.test".to_owned()]).unwrap().certificate_pem();
    assert_ne!(again, renamed);
    fs::write(dir.path().join("key.pem"), "spoilt").unwrap();
    Tls::self_signed(dir.path(), &["cdn.test".to_owned()]).unwrap();
}

#[test]
fn a_self_signed_pair_is_renewed_a_month_before_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let maker = self_signed::Maker::new(dir.path(), &["localhost".to_owned()]);
    let now = SystemTime::now();
    let day = |n: u64| now + Duration::from_secs(n * 86_400);
    let read = || fs::read_to_string(dir.path().join("cert.pem")).unwrap();
    maker.ensure(now).unwrap();
    let first = read();
    maker.ensure(day(365)).unwrap();
    assert_eq!(read(), first);
    maker.ensure(day(368)).unwrap();
    assert_ne!(read(), first);
}

#[test]
fn a_wrong_file_is_named_with_what_it_should_hold() {
    let dir = tempfile::tempdir().unwrap();
    self_signed(dir.path());
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let missing = Tls::from_files(&dir.path().join("no.pem"), &key).unwrap_err();
    assert!(matches!(missing, NetError::File { .. }), "{missing}");
    let swapped = Tls::from_files(&key, &certificate).unwrap_err().to_string();
    assert!(swapped.contains("key.pem") && swapped.contains("BEGIN CERTIFICATE"), "{swapped}");
}
