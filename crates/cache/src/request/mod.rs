//! What is asked, read and not yet answered: pure, and without a look at what is held.
//!
//! `ask` is a request as the tier sees it; `key` names the object, `vary` its representation;
//! `range` and `conditional` read the fields that want a part of it, or only a newer one; `values` is how any
//! field is read.

pub(crate) mod ask;
pub(crate) mod conditional;
pub(crate) mod key;
pub(crate) mod range;
pub(crate) mod values;
pub(crate) mod vary;

/// Fields as a test writes them.
#[cfg(test)]
pub(crate) fn written(fields: &[(&'static str, &str)]) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}
