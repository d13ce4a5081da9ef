//! What a player says it will ask for next: `nor` and `nrr` of Common Media Client Data (CTA-5004), in the
//! query (`CMCD=…`) or in the field `CMCD-Request`.

use std::ops::Range;

use percent_encoding::percent_decode_str;

/// Longest data that are read, in bytes; a player sends some 300.
const MAX_DATA: usize = 4096;

/// The next request of a player, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextRequest {
    /// Where it is, relative to what is asked for now, decoded once; none: the same object.
    pub uri: Option<String>,
    /// The bytes of it, end exclusive.
    pub range: Option<Range<u64>>,
}

/// Reads the next request out of a query as it was sent, or out of the field `CMCD-Request`.
pub fn next_request(query: Option<&str>, field: Option<&str>) -> Option<NextRequest> {
    let in_query = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("CMCD="));
    match in_query {
        Some(data) => {
            let data = decoded(data)?;
            of_data(&data)
        }
        None => of_data(field?),
    }
}

fn of_data(data: &str) -> Option<NextRequest> {
    if data.len() > MAX_DATA {
        return None;
    }
    let (mut uri, mut range) = (None, None);
    for pair in outside_quotes(data) {
        match pair.trim().split_once('=') {
            Some(("nor", value)) => uri = Some(decoded(value.trim_matches('"'))?),
            Some(("nrr", value)) => range = bytes(value.trim_matches('"')),
            _ => {}
        }
    }
    (uri.is_some() || range.is_some()).then_some(NextRequest { uri, range })
}

/// Pairs apart at commas; those within quotes belong to a value.
fn outside_quotes(data: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    data.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

fn decoded(text: &str) -> Option<String> {
    if text.len() > 3 * MAX_DATA {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// `12-34` is both ends inclusive; a range that is open at one end would be more than a hint.
fn bytes(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    (first <= last).then(|| first..last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_transports_are_read() {
        let expected = NextRequest { uri: Some("../b/s 2.m4s".into()), range: Some(5..10) };
        let query =
            "v=1&CMCD=br%3D3200%2Cnor%3D%22..%252Fb%252Fs%25202.m4s%22%2Cnrr%3D%225-9%22%2Csid%3D%22a%2Cb%22";
        assert_eq!(next_request(Some(query), None).unwrap(), expected);
        let field = "bl=21300,mtp=25400,nor=\"..%2Fb%2Fs%202.m4s\",nrr=\"5-9\"";
        assert_eq!(next_request(Some("v=1"), Some(field)).unwrap(), expected);
        let alone = next_request(None, Some("nrr=\"7-7\"")).unwrap();
        assert_eq!(alone, NextRequest { uri: None, range: Some(7..8) });
    }

    #[test]
    fn what_is_no_hint_is_none() {
        for field in ["", "br=1", "nrr=\"9-\"", "nrr=\"9-1\"", "nor", "cid=\"nor=1,nrr=2\""] {
            assert_eq!(next_request(None, Some(field)), None, "{field}");
        }
        assert_eq!(next_request(Some("CMCD=nor%3D%ff"), None), None);
        assert_eq!(next_request(None, Some(&format!("nor=\"{}\"", "a".repeat(5000)))), None);
    }
}
