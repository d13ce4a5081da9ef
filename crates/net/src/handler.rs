//! What a role gives to the server: one function from request to response.

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use hyper::body::Incoming;

use crate::error::BoxError;

/// Answers requests; one value serves all connections of a listener.
///
/// A panic inside becomes a 500 and a counter. A body that ends with an error cuts the HTTP/1.1 connection
/// or resets the HTTP/2 stream: the client never takes a part for the whole.
pub trait Handler: Send + Sync + 'static {
    /// The body of the answers. hyper polls it as it is: no box, no copy.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request. The future is dropped when the client goes away first.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Adds what the role puts on every answer to one that the server gives in its place (414, 431, 500).
    fn dress(&self, _headers: &mut HeaderMap) {}

    /// A connection has ended, whoever ended it; from now on its address may be another's.
    fn ended(&self, _peer: Peer) {}
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection.
    pub addr: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}
