//! Viewers' answers may be read from any page: what protects content is the token, not the page's address.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{
    HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL,
    },
};

/// Answers preflights and puts the fields on every answer, errors too.
pub(crate) async fn allow(request: Request, next: Next) -> Response {
    let mut response = match request.method() {
        &Method::OPTIONS => {
            let mut preflight = Response::new(axum::body::Body::empty());
            *preflight.status_mut() = StatusCode::NO_CONTENT;
            let fields = preflight.headers_mut();
            fields.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
            fields.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
            preflight
        }
        _ => next.run(request).await,
    };
    let fields = response.headers_mut();
    fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    // A decision is for one viewer at one moment.
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
