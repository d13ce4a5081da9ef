//! What all kinds of sources have in common: how long they may take, and what they give back.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};
use kromka_cache::Fetched;

/// How long a source may take; each bound holds for one step, not for a whole body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// To connect.
    pub(crate) connect: Duration,
    /// From the request to the header.
    pub(crate) first_byte: Duration,
    /// Between two pieces of a body.
    pub(crate) stall: Duration,
}

/// A page of a listing: the smallest names, however they arrive.
pub(crate) struct Listed {
    names: BTreeMap<String, u64>,
    limit: usize,
    more: bool,
}

impl Listed {
    pub(crate) fn new(limit: usize) -> Listed {
        Listed { names: BTreeMap::new(), limit, more: false }
    }

    pub(crate) fn insert(&mut self, name: String, size: u64) {
        self.names.insert(name, size);
        if self.names.len() > self.limit {
            self.names.pop_last();
            self.more = true;
        }
    }

    /// Whether a name had to be left out.
    pub(crate) fn full(&self) -> bool {
        self.more
    }

    /// The names with their sizes in bytes, and the name after which the next page begins.
    pub(crate) fn page(self) -> (BTreeMap<String, u64>, Option<String>) {
        let next = self.more.then(|| self.names.keys().next_back().cloned()).flatten();
        (self.names, next)
    }
}

/// An answer without a body of its own.
pub(crate) fn plain(status: StatusCode) -> Fetched {
    Fetched { status, headers: HeaderMap::new(), body: Box::pin(stream::empty()) }
}

/// Sets a field, unless the value holds what no field may hold.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
