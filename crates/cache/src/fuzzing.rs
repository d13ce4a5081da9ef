//! What must hold of header fields, whatever they are: a door for `tests/fuzz` alone.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode};

use crate::held::meta::{Meta, MetaRecord};
use crate::request::conditional::{not_modified, range_holds};
use crate::request::range::{Selection, content_range, select, wanted};
use crate::request::vary;
use crate::rules::cache_control::Wishes;
use crate::rules::freshness::{Policy, State};

/// Reads `text` as the fields of a request, a blank line, those of the answer, and again those of a 304.
///
/// # Panics
/// Where a range lies outside of the object or the ranges are more than it, where a variant's key does not lead to
/// itself, where what is stored comes back from a disk as something else, or what is fresh does not suit.
pub fn any_fields(text: &str) {
    let mut heads = text.split("\n\n").map(fields);
    let mut next = || heads.next().unwrap_or_default();
    let (asked, came, confirmed) = (next(), next(), next());

    let specs = wanted(&asked).unwrap_or_default();
    for length in [0, 1, 1_000, u64::MAX] {
        if let Selection::Parts(parts) = select(&specs, length) {
            assert!(parts.iter().all(|part| part.start < part.end && part.end <= length), "{parts:?}");
            let total: u128 = parts.iter().map(|part| u128::from(part.end - part.start)).sum();
            assert!(total <= u128::from(length), "{parts:?} of {length}");
        }
    }
    if let Some((range, length)) = content_range(&came) {
        assert!(range.start < range.end && length.is_none_or(|length| range.end <= length));
    }
    if let Some(names) = vary::names(&came) {
        let chosen = vary::chosen(&names, &asked);
        assert_eq!(vary::chosen(&names, &vary::fields(&chosen)), chosen, "it leads to another variant");
    }

    let wishes = Wishes::of(&asked);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for web in [false, true] {
        let policy =
            Policy { web, authorized: asked.contains_key("authorization"), negative: Duration::ZERO };
        let Some(meta) = Meta::of(StatusCode::OK, &came, now, policy) else { continue };
        let _ = (not_modified(&asked, &meta), range_holds(&asked, &meta), meta.terms.suits(&wishes, now));
        let fresh = meta.terms.state(now) == State::Fresh;
        assert!(!fresh || meta.terms.suits(&Wishes::default(), now), "{:?}", meta.terms);
        if let Some(newer) = meta.updated(&confirmed, now, policy) {
            assert_eq!(newer.etag(), meta.etag(), "a 304 makes no other bytes");
        }
        let Some(back) = MetaRecord::from(&meta).restore() else { panic!("{meta:?} is lost") };
        let told = |meta: &Meta| {
            (meta.status, meta.headers.clone(), meta.terms.clone(), meta.withheld.clone(), meta.tags.clone())
        };
        assert_eq!(told(&back), told(&meta));
    }
}

fn fields(text: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')).take(100) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.trim().parse()) {
            fields.append(name, value);
        }
    }
    fields
}
