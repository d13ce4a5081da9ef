//! How a list is cut into pages, all of them alike: `limit` and `cursor` in, `next_cursor` and `Link` out.

use http::{HeaderMap, HeaderValue, header::LINK};
use kromka_control::PageQuery;

use crate::error::ApiError;

/// Items of a page unless the caller says otherwise.
const USUAL: u32 = 100;

/// Most items of a page.
const MOST: u32 = 1_000;

/// How many items a page has at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(u32);

/// How many items a page has, as the query wants it.
///
/// # Errors
/// When it wants none, or too many.
pub(super) fn size(query: &PageQuery) -> Result<Size, ApiError> {
    match query.limit.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(Size(limit)),
        _ => Err(ApiError::BadRequest(format!("limit is 1 to {MOST}"))),
    }
}

impl Size {
    /// One more than that: what tells whether there is another page.
    pub(super) fn and_one(self) -> u32 {
        self.0 + 1
    }
}

/// One page.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// What stands on it.
    pub(super) items: Vec<T>,
    /// Where the next one begins; nothing on the last.
    pub(super) next_cursor: Option<String>,
    /// `Link: <…>; rel="next"` (RFC 8288), where there is a next one.
    pub(super) link: HeaderMap,
}

impl<T> Page<T> {
    /// The first page of `rest`, the list from where this page begins; `name` is what an item is found by as a cursor,
    /// in characters that a query may have.
    pub(super) fn cut(path: &str, size: Size, mut rest: Vec<T>, name: impl Fn(&T) -> String) -> Page<T> {
        let limit = size.0;
        let more = rest.len() > limit as usize;
        rest.truncate(limit as usize);
        let next_cursor = rest.last().filter(|_| more).map(name);
        let link = |cursor| {
            HeaderValue::try_from(format!("<{path}?limit={limit}&cursor={cursor}>; rel=\"next\"")).ok()
        };
        let link = next_cursor.as_ref().and_then(link);
        Page { items: rest, next_cursor, link: link.map(|value| (LINK, value)).into_iter().collect() }
    }
}
