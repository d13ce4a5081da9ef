//! `exclude=e1,e2` and, on `/route`, `x=e1,e2`: edges that whoever asks has had enough of.

use crate::error::ApiError;

/// Edges that can be named.
const EXCLUDED_MAX: usize = 16;

/// The names in a list; what is excluded but unknown does no harm.
pub(super) fn names(list: &str) -> Result<Vec<String>, ApiError> {
    let names: Vec<String> =
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    match names.len() <= EXCLUDED_MAX {
        true => Ok(names),
        false => Err(ApiError::BadRequest(format!("at most {EXCLUDED_MAX} edges can be excluded"))),
    }
}

/// A target without its parameter `x`, and the edges named there. Borrowed where there is none, as nearly always.
pub(super) fn taken(target: &str) -> Result<(std::borrow::Cow<'_, str>, Vec<String>), ApiError> {
    let Some((path, query)) = target.split_once('?') else { return Ok((target.into(), Vec::new())) };
    if !query.split('&').any(|pair| pair.starts_with("x=")) {
        return Ok((target.into(), Vec::new()));
    }
    let (mut kept, mut list) = (path.to_owned(), String::new());
    let mut separator = '?';
    for pair in query.split('&') {
        match pair.strip_prefix("x=") {
            // A list may have its comma escaped; names have nothing else to escape.
            Some(more) => list.push_str(&format!("{},", more.replace("%2C", ",").replace("%2c", ","))),
            None => {
                kept.push(separator);
                kept.push_str(pair);
                separator = '&';
            }
        }
    }
    Ok((kept.into(), names(&list)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_list_is_taken_out_and_the_rest_stays() {
        for (target, kept, names) in [
            ("/a.m3u8", "/a.m3u8", &[][..]),
            ("/a.m3u8?v=1&xx=2", "/a.m3u8?v=1&xx=2", &[]),
            ("/a.m3u8?x=e1", "/a.m3u8", &["e1"]),
            ("/a.m3u8?x=e1,e2&v=1", "/a.m3u8?v=1", &["e1", "e2"]),
            ("/a.m3u8?v=1&x=e1%2Ce2&w=2&x=e3", "/a.m3u8?v=1&w=2", &["e1", "e2", "e3"]),
            ("/a.m3u8?x=", "/a.m3u8", &[]),
        ] {
            let (left, taken) = taken(target).unwrap();
            assert_eq!(
                (left.as_ref(), taken.as_slice()),
                (kept, &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..]),
                "{target}"
            );
        }
        assert!(taken(&format!("/a?x={}", "e,".repeat(17))).is_err());
    }
}
