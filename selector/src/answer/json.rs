//! JSON as it goes out: written into one buffer, with no tree and no texts in between.
//!
//! For answers that a core gives a hundred thousand times a second. Whoever writes sees to braces, names and commas
//! himself; what comes from elsewhere is escaped here (RFC 8259, section 7). Tests read what is written with the
//! types that clients read it with.

use std::fmt::{self, Write};

/// Decimals of a number: more would be noise that looks like knowledge.
const DECIMALS: usize = 4;

/// A text in the making.
pub(super) struct Json(Vec<u8>);

impl Json {
    /// An empty text with room for `bytes`.
    pub(super) fn new(bytes: usize) -> Json {
        Json(Vec::with_capacity(bytes))
    }

    /// Writes what is JSON already.
    #[inline]
    pub(super) fn raw(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Writes a string.
    pub(super) fn string(&mut self, text: &str) {
        self.0.push(b'"');
        self.escaped(text);
        self.0.push(b'"');
    }

    /// Writes a string of these words.
    pub(super) fn words(&mut self, words: impl fmt::Display) {
        self.0.push(b'"');
        // A buffer takes everything.
        let _ = write!(Inside(self), "{words}");
        self.0.push(b'"');
    }

    /// Writes a part of a string.
    #[inline]
    pub(super) fn escaped(&mut self, text: &str) {
        let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) {
            self.raw(text);
        } else {
            self.escaped_one_by_one(text);
        }
    }

    #[cold]
    fn escaped_one_by_one(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                0x08 => self.raw("\\b"),
                0x0C => self.raw("\\f"),
                0..b' ' => {
                    let low = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    self.raw("\\u00");
                    self.0.extend_from_slice(&low);
                }
                _ => self.0.push(byte),
            }
        }
    }

    /// Writes a whole number.
    pub(super) fn number(&mut self, number: u64) {
        let mut digits = [0u8; 20];
        let from = digits_of(number, &mut digits);
        self.0.extend_from_slice(&digits[from..]);
    }

    /// Writes a number with at most four decimals, at least one; what is none is `null`.
    pub(super) fn decimal(&mut self, number: f64) {
        const UNITS: u64 = 10u64.pow(DECIMALS as u32);
        if !number.is_finite() {
            return self.raw("null");
        }
        // Saturates far beyond all that is ever said.
        let units = (number.abs() * UNITS as f64).round() as u64;
        if number < 0.0 && units > 0 {
            self.0.push(b'-');
        }
        self.number(units / UNITS);
        // A leading 1 keeps the zeros behind the point.
        let mut digits = [0u8; 20];
        let from = digits_of(UNITS + units % UNITS, &mut digits) + 1;
        let zeros = digits[from + 1..].iter().rev().take_while(|digit| **digit == b'0').count();
        self.0.push(b'.');
        self.0.extend_from_slice(&digits[from..digits.len() - zeros]);
    }

    /// Writes `items` with commas between.
    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Json, T),
    ) {
        self.0.push(b'[');
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.0.push(b',');
            }
            write(self, item);
        }
        self.0.push(b']');
    }

    /// The text.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Takes words into a string.
struct Inside<'a>(&'a mut Json);

impl Write for Inside<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.escaped(text);
        Ok(())
    }
}

/// Writes the digits of a number to the end of `digits`; where they begin.
#[inline]
fn digits_of(mut number: u64, digits: &mut [u8; 20]) -> usize {
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return from;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn written(write: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::new(0);
        write(&mut json);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_the_library_writes_them() {
        for number in [
            0.0,
            0.1,
            0.00004,
            0.00005,
            0.0001,
            0.001,
            0.05,
            1.0,
            9.9999,
            9.99999,
            12.34,
            49.95,
            50.0,
            0.1235,
            4_000.5,
            123_456_789.1,
            -3.25,
            -0.00001,
        ] {
            let rounded = (number * 1e4_f64).round() / 1e4 + 0.0;
            assert_eq!(
                written(|json| json.decimal(number)),
                serde_json::to_string(&rounded).unwrap(),
                "{number}"
            );
        }
        assert_eq!(written(|json| json.decimal(f64::NAN)), "null");
        assert_eq!(written(|json| json.decimal(f64::INFINITY)), "null");
        for number in [0, 7, 10, 1_234, u64::MAX] {
            assert_eq!(written(|json| json.number(number)), number.to_string());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_written_as_the_library_writes_it(text in ".*", number in -1e9..1e9f64) {
            let library = serde_json::to_string(&text).unwrap();
            proptest::prop_assert_eq!(written(|json| json.string(&text)), library.clone());
            proptest::prop_assert_eq!(written(|json| json.words(&text)), library);
            let read: f64 = written(|json| json.decimal(number)).parse().unwrap();
            proptest::prop_assert!((read - number).abs() <= 0.000_05 + 1e-6, "{} {}", number, read);
        }

        #[test]
        fn lists_have_their_commas(items in proptest::collection::vec(0u64..1_000, 0..5)) {
            let list = written(|json| json.list(&items, |json, item| json.number(*item)));
            proptest::prop_assert_eq!(list, serde_json::to_string(&items).unwrap());
        }
    }
}
