//! How answers in JSON are written: by serde, straight into one buffer, with no tree and no texts in between.
//!
//! Answers are views of the ranking and of the question that serialise themselves; tests read what is written with
//! the types that clients read it with.

use std::fmt::Display;

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use serde::{Serialize, Serializer};

use super::Text;
use crate::error::ApiError;

/// What decimals of a number are worth: more would be noise that looks like knowledge.
const UNITS: f64 = 10_000.0;

/// An answer of about so many `bytes`, so that its text does not have to grow.
///
/// # Errors
/// [`ApiError::Internal`]: the value cannot be written as JSON.
pub(super) fn answer(bytes: usize, value: &impl Serialize) -> Result<Response<Text>, ApiError> {
    let mut text = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut text, value).map_err(|error| ApiError::Internal(error.to_string()))?;
    let mut response = Response::new(Text::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Writes a string of what is displayed.
pub(super) struct Words<T>(pub(super) T);

impl<T: Display> Serialize for Words<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A number with at most four decimals; what is none is `null`.
pub(super) fn rounded(number: f64) -> f64 {
    // Nothing is less than zero by next to nothing.
    (number * UNITS).round() / UNITS + 0.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn numbers_have_four_decimals_at_most_and_what_is_none_is_null() {
        for (number, text) in [
            (0.0, "0.0"),
            (0.1, "0.1"),
            (0.00004, "0.0"),
            (0.00005, "0.0001"),
            (9.9999, "9.9999"),
            (9.99999, "10.0"),
            (12.34, "12.34"),
            (0.123_456, "0.1235"),
            (123_456_789.123_4, "123456789.1234"),
            (-3.25, "-3.25"),
            (-0.00001, "0.0"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(serde_json::to_string(&rounded(number)).unwrap(), text);
        }
    }
}
