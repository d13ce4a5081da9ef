//! An HTTP client that hides nothing: no redirects, no decoding, and a body cut short is an error.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{Client, ClientBuilder, Method, Version};

use super::patience::PATIENCE;

/// A viewer's HTTP client.
#[derive(Clone)]
pub(crate) struct Viewer {
    http: Client,
    /// Whether waiting in vain is a fault of the scenario rather than an answer.
    patient: bool,
}

/// An answer with its body read.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: http::HeaderMap,
    /// What came, whole; or what came before the body broke off.
    pub(crate) body: Result<Bytes, Bytes>,
}

impl Viewer {
    /// Over HTTP/1.1, or whatever TLS settles on.
    pub(crate) fn new() -> Viewer {
        Viewer::with(|builder| builder)
    }

    /// Over HTTP/2 without TLS.
    pub(crate) fn h2() -> Viewer {
        Viewer::with(ClientBuilder::http2_prior_knowledge)
    }

    /// Over TLS, trusting one certificate and nobody else.
    pub(crate) fn trusting(
        certificate: &Path,
        change: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Viewer {
        let pem = std::fs::read(certificate).unwrap();
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap();
        Viewer::with(|builder| change(builder.tls_certs_only(certificates)))
    }

    /// Over HTTP/1.1; after three seconds without a byte it gives up.
    pub(crate) fn impatient() -> Viewer {
        let wait = Duration::from_secs(3);
        Viewer { patient: false, ..Viewer::with(|builder| builder.connect_timeout(wait).read_timeout(wait)) }
    }

    fn with(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Viewer {
        let builder = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let builder = builder.connect_timeout(Duration::from_secs(5)).timeout(PATIENCE);
        Viewer { http: change(builder).build().unwrap(), patient: true }
    }

    pub(crate) async fn get(&self, url: &str) -> Got {
        self.ask(Method::GET, url, &[]).await
    }

    pub(crate) async fn ask(&self, method: Method, url: &str, fields: &[(&str, &str)]) -> Got {
        self.try_ask(method, url, fields).await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }

    /// An error if there is no answer at all.
    pub(crate) async fn try_ask(
        &self,
        method: Method,
        url: &str,
        fields: &[(&str, &str)],
    ) -> Result<Got, reqwest::Error> {
        let response = self.open(method, url, fields).await?;
        let (status, version) = (response.status().as_u16(), response.version());
        let headers = response.headers().clone();
        Ok(Got { status, version, headers, body: self.read(response).await })
    }

    /// An answer whose body is still to be read.
    pub(crate) async fn open(
        &self,
        method: Method,
        url: &str,
        fields: &[(&str, &str)],
    ) -> Result<reqwest::Response, reqwest::Error> {
        let mut request = self.http.request(method, url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let opened = request.send().await;
        if let Err(error) = &opened {
            assert!(
                !self.patient || !error.is_timeout() || error.is_connect(),
                "{url}: no answer within {PATIENCE:?}"
            );
        }
        opened
    }

    /// The body; where the viewer is not patient, one that hangs has broken off.
    async fn read(&self, response: reqwest::Response) -> Result<Bytes, Bytes> {
        match self.patient {
            true => read(response).await,
            false => gather(response).await.map_err(|(part, _)| part),
        }
    }

    /// With a body of JSON.
    pub(crate) async fn post(&self, url: &str, fields: &[(&str, &str)], body: &serde_json::Value) -> Got {
        let mut request = self.http.post(url).json(body);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        let (status, version) = (response.status().as_u16(), response.version());
        let headers = response.headers().clone();
        Got { status, version, headers, body: read(response).await }
    }
}

/// Reads a body to its end, or to where it broke off; it must not hang.
pub(crate) async fn read(response: reqwest::Response) -> Result<Bytes, Bytes> {
    gather(response).await.map_err(|(part, error)| {
        assert!(!error.is_timeout(), "a body hangs after {} bytes", part.len());
        part
    })
}

async fn gather(response: reqwest::Response) -> Result<Bytes, (Bytes, reqwest::Error)> {
    let mut pieces = response.bytes_stream();
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(error) => return Err((all.into(), error)),
        }
    }
    Ok(all.into())
}

impl Got {
    /// A field; several of a name are joined, none is empty.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(", ")
    }

    /// The whole body.
    #[track_caller]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.body {
            Ok(body) => body,
            Err(part) => panic!("the body broke off after {} bytes", part.len()),
        }
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.bytes()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The last part of a problem's type, after checking that it is one and tells what to know.
    #[track_caller]
    pub(crate) fn slug(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.status);
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        problem["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    }

    /// The members of Cache-Status, by the name of the tier.
    pub(crate) fn tier(&self, name: &str) -> String {
        let status = self.header("cache-status");
        let mut members = status.split(',').map(str::trim);
        let found = members.find(|member| member.split(';').next().map(str::trim) == Some(name));
        found.unwrap_or_default().to_owned()
    }

    /// Whether the edge answered from what it had.
    pub(crate) fn edge_hit(&self) -> bool {
        self.tier("kromka-edge").contains("; hit")
    }
}
