//! The listeners of a role: plain, TLS and the operators' one; opened, served and drained together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kromka_config::{AdminConfig, Limits, ListenConfig, TlsConfig};
use url::Url;

use crate::error::NetError;
use crate::handler::Handler;
use crate::listen::{Bound, bind};
use crate::rtt::RttLog;
use crate::serve::{ServerOptions, Serving, serve};
use crate::stats::Traffic;
use crate::tls::Tls;

/// Addresses of the loopback, from 127.0.0.1, that a self-signed certificate is good for.
const LOOPBACKS: u8 = 16;

/// How long the admin listener may take to finish its answers.
const ADMIN_DRAIN: Duration = Duration::from_secs(2);

/// A role's listeners. They have their ports from the start, and accept from [`serve`](Self::serve) on.
/// Dropping them cuts all connections; [`drain`](Self::drain) is the kind way.
#[derive(Debug)]
#[must_use = "dropping them closes the ports"]
pub struct Listeners {
    /// What clients put before a path.
    pub url: Url,
    /// The same over TLS, where there is an https listener or a name for one.
    pub tls_url: Option<Url>,
    /// Where metrics and health are.
    pub admin: Url,
    limits: Limits,
    rtt: Option<Arc<RttLog>>,
    bound: Vec<(Bound, Option<Tls>)>,
    admin_bound: Option<Bound>,
    serving: Vec<Serving>,
    admin_serving: Option<Serving>,
}

impl Listeners {
    /// Opens all ports and reads the certificate. `url` and `tls_url` are what the role is called from outside;
    /// without them it is called by the addresses it has got.
    ///
    /// # Errors
    /// [`NetError`]: a port that cannot be had, a certificate that cannot be used, no listener at all.
    pub async fn open(
        listen: &ListenConfig,
        tls: &TlsConfig,
        limits: &Limits,
        admin: &AdminConfig,
        url: Option<&Url>,
        tls_url: Option<&Url>,
    ) -> Result<Self, NetError> {
        let mut bound = Vec::with_capacity(2);
        let (mut plain, mut secure) = (url.cloned(), tls_url.cloned());
        if let Some(addr) = listen.http {
            let http = bind(addr).await?;
            plain = Some(plain.map_or_else(|| base("http", http.addr()), Ok)?);
            bound.push((http, None));
        }
        let https = match listen.https {
            Some(addr) => Some(bind(addr).await?),
            None => None,
        };
        let admin_bound = bind(admin.listen).await?;
        if let Some(https) = &https {
            secure = Some(secure.map_or_else(|| base("https", https.addr()), Ok)?);
        }
        let url = plain.or_else(|| secure.clone()).ok_or_else(|| NetError::Setting {
            key: "listen",
            why: "no listener: set listen.http, listen.https or both".to_owned(),
        })?;
        if let Some(https) = https {
            let names = [Some(&url), secure.as_ref()];
            bound.push((https, Some(certificate(tls, names.into_iter().flatten())?)));
        }
        Ok(Self {
            url,
            tls_url: secure,
            admin: base("http", admin_bound.addr())?,
            limits: limits.clone(),
            rtt: None,
            bound,
            admin_bound: Some(admin_bound),
            serving: Vec::with_capacity(2),
            admin_serving: None,
        })
    }

    /// Samples the distance to clients, from [`serve`](Self::serve) on: where the samples wait to be taken.
    pub fn measure(&mut self) -> Arc<RttLog> {
        Arc::clone(self.rtt.get_or_insert_default())
    }

    /// Lets clients in; must be called within a tokio runtime. A second call does nothing.
    pub fn serve<H: Handler>(&mut self, handler: &Arc<H>) {
        for (bound, tls) in self.bound.drain(..) {
            let options = ServerOptions { limits: self.limits.clone(), tls, rtt: self.rtt.clone() };
            self.serving.push(serve(bound, options, Arc::clone(handler)));
        }
    }

    /// Lets operators in, within limits of their own. A second call does nothing.
    pub fn serve_admin<H: Handler>(&mut self, handler: H) {
        if let Some(bound) = self.admin_bound.take() {
            self.admin_serving = Some(serve(bound, ServerOptions::default(), Arc::new(handler)));
        }
    }

    /// The counters of the listeners that clients use; they outlive them.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            listeners: self.serving.iter().map(Serving::stats).collect(),
            connections_limit: u64::from(self.limits.connections) * self.serving.len() as u64,
        }
    }

    /// Accepts nobody new, finishes what is under way within `limits.drain`, then lets operators go too.
    pub async fn drain(self) {
        let drains = self.serving.into_iter().map(|serving| serving.drain(*self.limits.drain));
        let cut: usize = join_all(drains).await.iter().map(|drained| drained.cut).sum();
        if cut > 0 {
            tracing::warn!(cut, "connections cut at limits.drain");
        }
        if let Some(admin) = self.admin_serving {
            admin.drain(ADMIN_DRAIN).await;
        }
    }
}

fn base(scheme: &str, addr: SocketAddr) -> Result<Url, NetError> {
    Url::parse(&format!("{scheme}://{addr}/"))
        .map_err(|error| NetError::Setting { key: "listen", why: format!("{addr}: {error}") })
}

/// The certificate that the settings name, or one made here for this machine and the hosts of `urls`.
fn certificate<'a>(settings: &TlsConfig, urls: impl Iterator<Item = &'a Url>) -> Result<Tls, NetError> {
    if let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) {
        return Tls::from_files(certificate, key);
    }
    let Some(folder) = &settings.self_signed else {
        return Err(NetError::Setting {
            key: "tls",
            why: "listen.https needs tls.certificate and tls.key, or tls.self_signed for a laboratory"
                .to_owned(),
        });
    };
    let mut names = vec!["localhost".to_owned(), "::1".to_owned()];
    // A laboratory has its nodes side by side on the loopback, with one pair for all.
    names.extend((1..=LOOPBACKS).map(|n| format!("127.0.0.{n}")));
    for name in urls.filter_map(Url::host_str) {
        let name = name.trim_matches(['[', ']']);
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Tls::self_signed(folder, &names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use bytes::Bytes;
    use http::{Request, Response, StatusCode};
    use http_body_util::Full;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;

    use super::*;
    use crate::serve::tests::{reaches, soon};
    use crate::{Client, ClientOptions, Incoming, Peer};

    struct Told(&'static str);

    impl Handler for Told {
        type Body = Full<Bytes>;

        async fn handle(&self, _: Request<Incoming>, _: Peer) -> Response<Full<Bytes>> {
            Response::new(Full::from(self.0))
        }
    }

    fn free() -> Option<SocketAddr> {
        Some(([127, 0, 0, 1], 0).into())
    }

    async fn open(listen: ListenConfig, tls: TlsConfig, url: Option<&Url>) -> Result<Listeners, NetError> {
        let (limits, admin) = (Limits::default(), AdminConfig { listen: free().unwrap() });
        Listeners::open(&listen, &tls, &limits, &admin, url, None).await
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let error = open(ListenConfig::default(), TlsConfig::default(), None).await.unwrap_err();
        assert_eq!(error.to_string(), "listen: no listener: set listen.http, listen.https or both");
        let secure = ListenConfig { http: None, https: free() };
        let error = open(secure, TlsConfig::default(), None).await.unwrap_err();
        assert!(error.to_string().starts_with("tls: listen.https needs tls.certificate"), "{error}");
    }

    #[tokio::test]
    async fn all_are_served_counted_and_drained() {
        let folder = tempfile::tempdir().unwrap();
        let tls = TlsConfig { self_signed: Some(folder.path().to_owned()), ..TlsConfig::default() };
        let name = Url::parse("http://edge.example/").unwrap();
        let both = ListenConfig { http: free(), https: free() };
        let mut listeners = open(both, tls, Some(&name)).await.unwrap();
        assert_eq!(listeners.url, name);
        let plain = listeners.bound[0].0.addr();
        let tls_url = listeners.tls_url.clone().unwrap();
        listeners.serve(&Arc::new(Told("client")));
        listeners.serve_admin(Told("operator"));
        let traffic = listeners.traffic();
        assert_eq!(traffic.connections_limit, 2 * u64::from(Limits::default().connections));

        let client = Client::new(ClientOptions::default()).unwrap();
        for (url, told) in [(&base("http", plain).unwrap(), "client"), (&listeners.admin, "operator")] {
            let request = Request::get(url.as_str()).body(Bytes::new()).unwrap();
            let answer = client.send(request).await.unwrap();
            assert_eq!(
                (answer.status(), answer.into_body().whole(99).await.unwrap()),
                (StatusCode::OK, told.into())
            );
        }
        let port = tls_url.port().unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        reaches(&traffic.listeners[1].tls_failed, 1).await;
        assert_eq!(traffic.failed(), [("tls", 1), ("stalled", 0)]);
        soon(listeners.drain()).await;
        assert_eq!(traffic.sum(|stats| &stats.requests), 1, "the operators' are not among them");
        assert!(TcpStream::connect(plain).await.is_err());
    }
}
