//! A request as the tier sees it: which object, by which method, with which fields, and when.

use crate::request::key::Key;
use http::{HeaderMap, Method};
use std::time::SystemTime;

/// A request, as far as a cache is concerned.
pub struct Ask<'a> {
    /// The object.
    pub key: Key,
    /// GET or HEAD; anything else is answered as GET would be.
    pub method: &'a Method,
    /// Looked at for ranges and conditions; of web content all of it matters.
    pub headers: &'a HeaderMap,
    /// Any HTTP content rather than media: end-to-end fields go to the source, and answers that vary
    /// by them are told apart.
    pub web: bool,
    /// The purge fence that the asking tier knows of; 0 from viewers.
    pub fence: u64,
    /// [`Tier::now`](crate::Tier::now), read once per request.
    pub now: SystemTime,
}
