//! A length of time, as operators write it: `500ms`, `10s`, `2h`, `30d`.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

/// A length of time.
///
/// Written as a whole number with a unit: `ms`, `s`, `m` (minutes), `h` or `d`. A bare number is refused,
/// because nobody can see whether it means seconds or milliseconds. Only `0` needs no unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// Unit and milliseconds, the longest first: `Display` takes the first that divides evenly.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// `n` minutes.
    pub const fn minutes(n: u64) -> Self {
        Self::secs(n * 60)
    }

    /// `n` hours.
    pub const fn hours(n: u64) -> Self {
        Self::secs(n * 3600)
    }

    /// `n` days of 24 hours.
    pub const fn days(n: u64) -> Self {
        Self::secs(n * 86_400)
    }

    /// The same length as the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Deref for Span {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::default());
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(format!("`{text}` is not a length of time"));
        }
        if unit.is_empty() {
            return Err(format!("`{text}` has no unit"));
        }
        let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("`{unit}` is not a unit of time"));
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(*millis))
            .map(Self::millis)
            .ok_or_else(|| format!("`{text}` is longer than 64 bits hold"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, factor) in UNITS {
            let factor = u128::from(factor);
            if millis >= factor && millis.is_multiple_of(factor) {
                return write!(f, "{}{unit}", millis / factor);
            }
        }
        f.write_str("0s")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn reads_every_unit() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("500ms", 500), ("300s", 300_000), ("15m", 900_000), ("2h", 7_200_000)]
        {
            assert_eq!(text.parse::<Span>(), Ok(Span::millis(millis)), "{text}");
        }
        assert_eq!("30d".parse::<Span>(), Ok(Span::days(30)));
    }

    #[test]
    fn refuses_what_could_be_misread() {
        for text in ["", "s", "10", "-1s", "1.5s", "1h30m", "5 s", "5S", "99999999999999999999s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        for span in [Span::default(), Span::millis(1250), Span::secs(300), Span::hours(24), Span::days(365)] {
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        assert_eq!(Span::secs(300).to_string(), "5m");
    }
}
