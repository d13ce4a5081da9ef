//! Where the attributes of a tag stand in its line (RFC 8216, section 4.2).

use std::ops::Range;

/// The attributes of `#EXT-X-TAG:NAME=value,…`: each name, and the bytes of its value with its quotes.
///
/// What is not of that form ends the list: edits happen only where the text is understood.
pub(super) fn attributes(line: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    let mut at = line.find(':').map_or(line.len(), |colon| colon + 1);
    std::iter::from_fn(move || {
        let rest = line.get(at..)?;
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let name_at = at + spaces;
        let equals = name_at + line[name_at..].find('=')?;
        let value_at = equals + 1;
        let value = &line[value_at..];
        let length = match value.strip_prefix('"') {
            Some(quoted) => quoted.find('"')? + 2,
            None => value.find(',').unwrap_or(value.len()),
        };
        let end = value_at + length;
        // Past a closing quote only a comma or the end can come.
        at = match line[end..].find(',') {
            Some(comma) if line[end..end + comma].trim().is_empty() => end + comma + 1,
            Some(_) => return None,
            None => line.len() + 1,
        };
        Some((line[name_at..equals].trim(), value_at..end))
    })
}

/// The bytes of one attribute's value, with its quotes.
pub(super) fn attribute(line: &str, name: &str) -> Option<Range<usize>> {
    attributes(line).find(|(found, _)| *found == name).map(|(_, span)| span)
}

/// The text of a quoted value.
pub(super) fn unquoted(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<(&str, &str)> {
        attributes(line).map(|(name, span)| (name, &line[span])).collect()
    }

    #[test]
    fn commas_in_quotes_do_not_separate() {
        assert_eq!(
            read("#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1,mp4a\", RESOLUTION=1x2,AUDIO=\"a=b\""),
            [("BANDWIDTH", "1"), ("CODECS", "\"avc1,mp4a\""), ("RESOLUTION", "1x2"), ("AUDIO", "\"a=b\"")]
        );
        assert_eq!(read("#EXT-X-MEDIA:URI=\"a:b\" ,X=1"), [("URI", "\"a:b\""), ("X", "1")]);
    }

    #[test]
    fn what_is_no_list_ends_it() {
        for line in ["", "#EXTM3U", "#EXT-X-MEDIA:", "#EXT-X-MEDIA:URI", "#EXT-X-MEDIA:URI=\"a"] {
            assert!(read(line).is_empty(), "{line}");
        }
        assert_eq!(read("#EXT-X-MEDIA:A=1,URI=\"a\"x,B=1"), [("A", "1")]);
        assert_eq!(read("#EXT-X-MEDIA:A=1,"), [("A", "1")]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(line in "\\PC*") {
            let mut before = 0;
            for (_, span) in attributes(&line) {
                assert!(before < span.start && line.is_char_boundary(span.end));
                before = span.end;
            }
        }
    }
}
