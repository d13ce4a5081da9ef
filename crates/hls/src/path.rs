//! What a request target names: token, path and query, or why it is refused.
//!
//! One rule keeps every tier honest: a path is decoded exactly once, here, and what comes out is the
//! only spelling anybody compares, caches or sends on. So everything that a second decoder or a file
//! system could read differently (dot segments, encoded slashes, backslashes, control characters,
//! escapes within escapes) is refused rather than repaired.

use std::fmt;

/// Longest decoded path, in bytes, without the token.
pub const MAX_PATH: usize = 4096;

/// Longest token, in bytes. An RS256 token with every claim set stays below 2 KiB.
pub const MAX_TOKEN: usize = 4096;

/// Longest request target as sent, in bytes: a path of [`MAX_PATH`] with every byte escaped, and a token.
pub const MAX_TARGET: usize = 3 * MAX_PATH + MAX_TOKEN;

/// The query parameter that may carry the token.
const TOKEN_PARAMETER: &str = "kt";

/// A request target, taken apart and checked.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestPath {
    /// The session token out of `/~<token>/` or `kt=`, not judged; only its alphabet is checked.
    pub token: Option<String>,
    /// The path without the token: decoded, beginning with `/`, free of dot segments and empty
    /// segments, of backslashes and of control characters.
    pub path: String,
    /// The query without `kt`, as it was sent; `None` when nothing is left of it.
    pub query: Option<String>,
}

// By hand, so that a token cannot reach a log through `{:?}`.
impl fmt::Debug for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestPath")
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("path", &self.path)
            .field("query", &self.query)
            .finish()
    }
}

/// Why a request target is refused. The texts never repeat what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The target does not begin with `/` (RFC 9112, section 3.2.1: origin-form).
    #[error("the request path must begin with a slash")]
    NotAbsolute,
    /// The target, the path or the token is longer than [`MAX_TARGET`], [`MAX_PATH`], [`MAX_TOKEN`].
    #[error("the request path is too long; a path may have {MAX_PATH} bytes")]
    TooLong,
    /// A `%` is not followed by two hexadecimal digits (RFC 3986, section 2.1).
    #[error("the request path holds a broken percent escape")]
    BadEscape,
    /// The decoded bytes are not UTF-8.
    #[error("the request path is not UTF-8")]
    NotUtf8,
    /// A control character or NUL, plain or escaped.
    #[error("the request path holds a control character")]
    Control,
    /// A backslash, plain or escaped, which some systems read as a slash.
    #[error("the request path holds a backslash")]
    Backslash,
    /// `%2f`: a slash that is not a separator.
    #[error("the request path holds an escaped slash")]
    EncodedSlash,
    /// An escape that decodes to another escape of a dot, a slash, a backslash, a percent sign or a
    /// control character.
    #[error("the request path is escaped twice")]
    DoubleEncoding,
    /// A segment `.` or `..`, plain, escaped or followed by `;`.
    #[error("the request path holds a dot segment")]
    DotSegment,
    /// Two slashes with nothing between them.
    #[error("the request path holds an empty segment")]
    EmptySegment,
    /// A `#`, which never travels in a request (RFC 9110, section 4.2.4).
    #[error("the request path holds a fragment")]
    Fragment,
    /// The token is empty or holds a character that no token has.
    #[error("the token is not a token")]
    BadToken,
    /// Two tokens that differ, or one in front of another.
    #[error("the request carries two tokens")]
    TwoTokens,
}

/// Takes a request target apart: `/~<token>/path?query`, still percent-encoded, as it was sent.
///
/// The token may also stand in the query as `kt=<token>`; it is removed from there. The same token in
/// both places is one token. See [`PathError`] for what is refused.
///
/// # Errors
/// [`PathError`], by what is wrong first.
pub fn split(raw_path_and_query: &str) -> Result<RequestPath, PathError> {
    let (raw_path, raw_query) = halves(raw_path_and_query)?;
    let (in_path, rest) = take_path_token(raw_path)?;
    let path = decode_path(rest)?;
    if path.starts_with("/~") {
        // `/~one/~two/`: what is a token here would be a path for whoever is asked next.
        return Err(PathError::TwoTokens);
    }
    let (in_query, query) = match raw_query {
        Some(query) => take_query_token(query)?,
        None => (None, None),
    };
    let token = match (in_path, in_query) {
        (Some(one), Some(other)) if one != other => return Err(PathError::TwoTokens),
        (one, other) => one.or(other),
    };
    Ok(RequestPath { token, path, query })
}

/// As [`split`], for a service without tokens: a segment `~name` and a parameter `kt` belong to the
/// service and stay where they are.
///
/// # Errors
/// [`PathError`], never `BadToken` or `TwoTokens`.
pub fn split_plain(raw_path_and_query: &str) -> Result<RequestPath, PathError> {
    let (raw_path, raw_query) = halves(raw_path_and_query)?;
    let path = decode_path(raw_path)?;
    let query = raw_query.filter(|query| !query.is_empty()).map(str::to_owned);
    Ok(RequestPath { token: None, path, query })
}

/// Writes a decoded path for a URL: all but unreserved characters (RFC 3986, section 2.3) and the
/// slash is escaped. For every path that [`split`] gives, `split(&encode_path(&path))` gives it again.
pub fn encode_path(path: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// Path and query as sent, within bounds and without what cannot be in either.
fn halves(raw: &str) -> Result<(&str, Option<&str>), PathError> {
    if raw.len() > MAX_TARGET {
        return Err(PathError::TooLong);
    }
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if raw.contains('#') {
        return Err(PathError::Fragment);
    }
    if holds_control(raw) {
        return Err(PathError::Control);
    }
    Ok(match raw.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (raw, None),
    })
}

/// The token of a first segment `~<token>`, and the path after it.
fn take_path_token(raw: &str) -> Result<(Option<String>, &str), PathError> {
    let first_end = raw[1..].find('/').map_or(raw.len(), |at| at + 1);
    let first = decode(&raw[1..first_end])?;
    let Some(token) = first.strip_prefix('~') else { return Ok((None, raw)) };
    let rest = if first_end == raw.len() { "/" } else { &raw[first_end..] };
    Ok((Some(checked_token(token)?), rest))
}

/// The token out of `kt=`, and the query without it. An empty `kt=` is no token.
fn take_query_token(raw: &str) -> Result<(Option<String>, Option<String>), PathError> {
    let mut token: Option<String> = None;
    let mut kept = String::with_capacity(raw.len());
    for parameter in raw.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !decode(name).is_ok_and(|name| name == TOKEN_PARAMETER) {
            if !kept.is_empty() {
                kept.push('&');
            }
            kept.push_str(parameter);
            continue;
        }
        if value.is_empty() {
            continue;
        }
        let found = checked_token(&decode(value).map_err(|_| PathError::BadToken)?)?;
        if token.as_ref().is_some_and(|token| *token != found) {
            return Err(PathError::TwoTokens);
        }
        token = Some(found);
    }
    Ok((token, Some(kept).filter(|kept| !kept.is_empty())))
}

/// A token has the alphabet of a compact JWS (RFC 7515, section 3.1), so that nothing that is echoed,
/// logged or compared by accident can hold a separator.
fn checked_token(token: &str) -> Result<String, PathError> {
    if token.len() > MAX_TOKEN {
        return Err(PathError::TooLong);
    }
    // Byte by byte to the end, which compilers make into a few steps; a token has a hundred bytes and more.
    let of_alphabet =
        |byte: u8| byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_') | (byte == b'.');
    if token.is_empty() || !token.bytes().fold(true, |all, byte| all & of_alphabet(byte)) {
        return Err(PathError::BadToken);
    }
    Ok(token.to_owned())
}

/// Whether there is a control character in it.
fn holds_control(text: &str) -> bool {
    match text.is_ascii() {
        true => text.bytes().fold(false, |any, byte| any | byte.is_ascii_control()),
        false => text.contains(char::is_control),
    }
}

/// Whether a raw path is what it decodes to, as nearly all are: each segment is there, none begins with a dot, and
/// all characters are such that nobody escapes or refuses them.
fn is_plain(raw: &str) -> bool {
    let mut before = b'/';
    raw.bytes().skip(1).all(|byte| {
        let good = match byte {
            b'/' | b'.' => before != b'/',
            byte => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~'),
        };
        before = byte;
        good
    })
}

/// A raw path, which begins with a slash, segment by segment.
fn decode_path(raw: &str) -> Result<String, PathError> {
    if raw.len() <= MAX_PATH && is_plain(raw) {
        return Ok(raw.to_owned());
    }
    let mut path = String::with_capacity(raw.len());
    let mut segments = raw[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let segment = decode(segment)?;
        // An empty last segment is the trailing slash of a folder.
        if segment.is_empty() && segments.peek().is_some() {
            return Err(PathError::EmptySegment);
        }
        check_segment(&segment)?;
        path.push('/');
        path.push_str(&segment);
    }
    if path.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    Ok(path)
}

fn check_segment(segment: &str) -> Result<(), PathError> {
    if segment.contains('/') {
        return Err(PathError::EncodedSlash);
    }
    if segment.contains('\\') {
        return Err(PathError::Backslash);
    }
    if holds_control(segment) {
        return Err(PathError::Control);
    }
    // Some servers behind us drop `;parameters` before they look for dots.
    if matches!(segment.split(';').next(), Some("." | "..")) {
        return Err(PathError::DotSegment);
    }
    if holds_escape(segment.as_bytes()) {
        return Err(PathError::DoubleEncoding);
    }
    Ok(())
}

/// Whether a second decoding would bring out a dot, a slash, a backslash, a percent sign or a control
/// character. Any other `%` is a character like any other: `100%.ts`.
fn holds_escape(decoded: &[u8]) -> bool {
    decoded.windows(3).filter(|window| window[0] == b'%').any(|window| {
        escaped_byte(window[1], window[2])
            .is_some_and(|byte| byte.is_ascii_control() || b"./\\%".contains(&byte))
    })
}

/// Percent-decodes one piece, once (RFC 3986, section 2.1). `+` stays `+`.
fn decode(raw: &str) -> Result<std::borrow::Cow<'_, str>, PathError> {
    if !raw.contains('%') {
        return Ok(raw.into());
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next(), bytes.next()) else { return Err(PathError::BadEscape) };
        decoded.push(escaped_byte(high, low).ok_or(PathError::BadEscape)?);
    }
    String::from_utf8(decoded).map(Into::into).map_err(|_| PathError::NotUtf8)
}

/// The byte that two hexadecimal digits name.
fn escaped_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests;
