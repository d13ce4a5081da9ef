//! A request as the tier sees it: which object, by which method, with which fields, and when.

use std::time::SystemTime;

use http::header::{HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::held::meta;
use crate::request::key::Key;
use crate::rules::cache_control::SURROGATE;

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

/// Fields of a request that the tier answers itself.
const OWN: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

impl Ask<'_> {
    /// The request's fields that go to the source: of web content the end-to-end ones, without those
    /// that the tier answers itself.
    pub(crate) fn sent(&self) -> HeaderMap {
        if !self.web {
            return HeaderMap::new();
        }
        let mut sent = meta::end_to_end(self.headers);
        for name in OWN.iter().chain([&HOST]) {
            sent.remove(name);
        }
        let capability = format!("{SURROGATE}=\"Surrogate/1.0\"");
        if let Ok(capability) = HeaderValue::try_from(capability) {
            sent.append("surrogate-capability", capability);
        }
        sent
    }

    /// The fields of a request that is passed by the cache: the source alone decides what part of the
    /// object it answers, and whether.
    pub(crate) fn passed_on(&self) -> HeaderMap {
        let mut sent = self.sent();
        if self.web {
            for name in &OWN {
                for value in self.headers.get_all(name) {
                    sent.append(name.clone(), value.clone());
                }
            }
        }
        sent
    }
}
