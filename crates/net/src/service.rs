//! Serving a `tower` service, such as an axum router.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower::{Service, ServiceExt};

use crate::error::BoxError;
use crate::handler::{Handler, Peer};

/// A [`Handler`] out of any cloneable `tower` service that cannot fail, for example `axum::Router`.
///
/// Each request carries its [`Peer`] in its extensions (axum: `Extension<Peer>`).
#[derive(Clone, Debug)]
pub struct ServiceHandler<S>(S);

impl<S> ServiceHandler<S> {
    /// Wraps the service; it is cloned for each request, which for a router is one reference count.
    pub fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> Handler for ServiceHandler<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;

    async fn handle(&self, mut request: Request<Incoming>, peer: Peer) -> Response<B> {
        request.extensions_mut().insert(peer);
        let Ok(response) = self.0.clone().oneshot(request).await;
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::sync::Arc;

    use http_body_util::Full;

    use super::*;
    use crate::{Client, ClientOptions, ServerOptions, bind, serve};

    #[tokio::test]
    async fn a_tower_service_is_served_and_knows_its_peer() {
        let service = tower::service_fn(|request: Request<Incoming>| async move {
            let peer = request.extensions().get::<Peer>().copied().unwrap();
            let body =
                format!("[\"{}\", {}, {}]", request.uri().path(), peer.tls, peer.addr.ip().is_loopback());
            Ok(Response::new(Full::new(Bytes::from(body))))
        });
        let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let serving = serve(bound, ServerOptions::default(), Arc::new(ServiceHandler::new(service)));
        let request = Request::get(format!("http://{}/path", serving.addr())).body(Bytes::new()).unwrap();
        let client = Client::new(ClientOptions::default()).unwrap();
        let answer: (String, bool, bool) = client.json(request).await.unwrap();
        assert_eq!(answer, ("/path".to_owned(), false, true));
    }
}
