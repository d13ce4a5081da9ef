//! Field values (RFC 9110 §5.5): as text that every byte survives, and as lists.

use std::borrow::Cow;

use http::HeaderValue;

/// A value as text, each byte as the character of its number (ISO 8859-1), so that values that differ stay
/// different.
pub(crate) fn text(value: &HeaderValue) -> Cow<'_, str> {
    match value.to_str() {
        Ok(plain) => plain.into(),
        Err(_) => value.as_bytes().iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// The value that [`text`] was made of; `None` if it was made of none.
pub(crate) fn value(text: &str) -> Option<HeaderValue> {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<_>>()?;
    HeaderValue::from_bytes(&bytes).ok()
}

/// The members of a list (RFC 9110 §5.6.1), without the white space around them; commas inside quoted strings
/// separate nothing, and empty members are none.
pub fn members(list: &str) -> impl Iterator<Item = &str> {
    parts(list, ',')
}

/// What another separator separates, in the same way: parameters by `;` (§5.6.6).
pub fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        // A quoted string may hold its own end behind a backslash (§5.6.4).
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
    // Not `trim`: what it takes for white space beyond ASCII belongs to the value.
    .map(|part| part.trim_matches([' ', '\t']))
    .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_hold_commas_and_their_own_quotes() {
        let of = |list| members(list).collect::<Vec<_>>();
        assert_eq!(of(r#"a , "b, c",, d"#), ["a", r#""b, c""#, "d"]);
        assert_eq!(of(r#""a\", b", c"#), [r#""a\", b""#, "c"]);
        assert_eq!(of(r#""a\\", c"#), [r#""a\\""#, "c"]);
        assert_eq!(parts(r#"a; b="c;d" ;"#, ';').collect::<Vec<_>>(), ["a", r#"b="c;d""#]);
        assert_eq!(of(r"a\, b"), [r"a\", "b"], "without quotes it is a character like any other");
    }
}
