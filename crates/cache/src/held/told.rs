//! What answers say of a version for a second, written once for all of them.

use http::HeaderValue;

use crate::Key;
use crate::rules::way::Way;

/// What answers out of a generation say of it at a moment: `Age`, this tier's member of `Cache-Status`, and
/// the `Content-Length` of the whole. It is the same for a second, in which thousands may ask.
#[derive(Clone)]
pub(crate) struct Told {
    pub of: Moment,
    pub age: HeaderValue,
    pub status: HeaderValue,
    pub length: Option<HeaderValue>,
}

/// All that [`Told`] is written from; times in seconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub age: u64,
    pub lifetime: u64,
    pub way: Way,
    pub length: Option<u64>,
}

impl Told {
    pub(crate) fn new(tier: &str, key: &Key, of: Moment) -> Self {
        let signed = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
        let ttl = signed(of.lifetime).saturating_sub(signed(of.age));
        let status = of.way.member(tier, key, Some(ttl));
        Self { of, age: of.age.into(), status, length: of.length.map(HeaderValue::from) }
    }
}
