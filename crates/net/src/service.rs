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
