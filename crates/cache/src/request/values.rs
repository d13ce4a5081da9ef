//! Field values (RFC 9110 §5.5): as text that every byte survives, and as lists.

use http::HeaderValue;

/// A value as text, each byte as the character of its number (ISO 8859-1), so that values that differ stay
/// different.
pub(crate) fn text(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|&byte| char::from(byte)).collect()
}

/// The value that [`text`] was made of; `None` if it was made of none.
pub(crate) fn value(text: &str) -> Option<HeaderValue> {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<_>>()?;
    HeaderValue::from_bytes(&bytes).ok()
}

/// The members of a list (RFC 9110 §5.6.1), without the white space around them; commas inside quoted strings
/// separate nothing, and empty members are none.
pub(crate) fn members(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    // Not `trim`: what it takes for white space beyond ASCII belongs to the value.
    .map(|member| member.trim_matches([' ', '\t']))
    .filter(|member| !member.is_empty())
}
