//! Values with an order or a short list: integers, ratios, sizes, lengths of time, switches, choices.

use std::fmt::Display;
use std::str::FromStr;

use toml::de::DeValue;

use super::{Table, article};
use crate::nearest::nearest;
use crate::{ByteSize, Span};

impl Table<'_> {
    /// An integer within bounds.
    pub(crate) fn integer(&mut self, key: &'static str, default: u64, min: u64, max: u64) -> u64 {
        self.bounded(key, Some(default), min, max, |value| match value {
            DeValue::Integer(number) => {
                whole(number).ok_or_else(|| format!("{number} is not a whole number from 0"))
            }
            other => Err(format!("is {}, not an integer", article(other))),
        })
        .unwrap_or(default)
    }

    /// The same for settings of 32 bits.
    pub(crate) fn count(&mut self, key: &'static str, default: u32, min: u32, max: u32) -> u32 {
        let value = self.integer(key, default.into(), min.into(), max.into());
        u32::try_from(value).unwrap_or(default)
    }

    /// A number from 0 to 1.
    pub(crate) fn ratio(&mut self, key: &'static str, default: f64) -> f64 {
        self.bounded(key, Some(Decimal(default)), Decimal(0.0), Decimal(1.0), decimal)
            .map_or(default, |ratio| ratio.0)
    }

    /// A number within bounds that has no default.
    pub(crate) fn decimal(&mut self, key: &'static str, min: f64, max: f64) -> Option<f64> {
        self.bounded(key, None, Decimal(min), Decimal(max), decimal).map(|number| number.0)
    }

    /// An amount of bytes within bounds.
    pub(crate) fn size(
        &mut self,
        key: &'static str,
        default: ByteSize,
        min: ByteSize,
        max: ByteSize,
    ) -> ByteSize {
        self.bounded(key, Some(default), min, max, size).unwrap_or(default)
    }

    /// The same without a default.
    pub(crate) fn required_size(&mut self, key: &'static str, min: ByteSize, max: ByteSize) -> ByteSize {
        let value = self.bounded(key, None, min, max, size);
        self.required(key, value, &format!("{min}..{max}"), max)
    }

    /// A length of time within bounds.
    pub(crate) fn span(&mut self, key: &'static str, default: Span, min: Span, max: Span) -> Span {
        self.bounded(key, Some(default), min, max, |value| match value {
            DeValue::String(text) => Span::from_str(text)
                .map_err(|why| format!("{why}; write a whole number and ms, s, m, h or d, such as \"10s\"")),
            other => Err(format!(
                "is {}, not a length of time; write it with its unit, such as \"10s\"",
                article(other)
            )),
        })
        .unwrap_or(default)
    }

    /// `true` or `false`.
    pub(crate) fn switch(&mut self, key: &'static str, default: bool) -> bool {
        self.boolean(key, Some(default)).unwrap_or(default)
    }

    /// `true` or `false`, where the default depends on other settings.
    pub(crate) fn optional_switch(&mut self, key: &'static str) -> Option<bool> {
        self.boolean(key, None)
    }

    fn boolean(&mut self, key: &'static str, default: Option<bool>) -> Option<bool> {
        let allowed = "true, false";
        match self.ask(key, allowed, default.map(|on| on.to_string()))?.get_ref() {
            DeValue::Boolean(on) => Some(*on),
            other => {
                self.fault(key, format!("is {}", article(other)), allowed);
                None
            }
        }
    }

    /// One word of a list.
    pub(crate) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
        let allowed = names.join(", ");
        let usual = words.iter().find(|(_, value)| *value == default).map(|(name, _)| format!("\"{name}\""));
        let Some(value) = self.ask(key, &allowed, usual) else { return default };
        let DeValue::String(word) = value.get_ref() else {
            self.fault(key, format!("is {}", article(value.get_ref())), &allowed);
            return default;
        };
        if let Some((_, value)) = words.iter().find(|(name, _)| name == word) {
            return *value;
        }
        let message = match nearest(word, &names) {
            Some(meant) => format!("`{word}` is unknown, did you mean `{meant}`?"),
            None => format!("`{word}` is unknown"),
        };
        self.fault(key, message, &allowed);
        default
    }

    /// A value with bounds: none if it is absent, or wrong and noted.
    fn bounded<T: Copy + PartialOrd + Display + Quoted>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        min: T,
        max: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let allowed = format!("{min}..{max}");
        let value = self.ask(key, &allowed, default.map(|value| value.quoted()))?;
        let why = match read(value.get_ref()) {
            Ok(value) if value < min => format!("{value} is too small"),
            Ok(value) if value > max => format!("{value} is too large"),
            Ok(value) if value >= min => return Some(value),
            Ok(value) => format!("{value} is not a number"),
            Err(why) => why,
        };
        self.fault(key, why, &allowed);
        None
    }
}

/// How a value is written in a file.
trait Quoted: Display {
    fn quoted(&self) -> String {
        format!("\"{self}\"")
    }
}

impl Quoted for ByteSize {}
impl Quoted for Span {}
impl Quoted for u64 {
    fn quoted(&self) -> String {
        self.to_string()
    }
}
impl Quoted for Decimal {
    fn quoted(&self) -> String {
        self.to_string()
    }
}

/// Printed with a point so that TOML takes it for a float.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Decimal(f64);

impl Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn decimal(value: &DeValue<'_>) -> Result<Decimal, String> {
    let text = match value {
        DeValue::Float(number) => number.as_str(),
        DeValue::Integer(number) => number.as_str(),
        other => return Err(format!("is {}, not a number", article(other))),
    };
    text.parse().map(Decimal).map_err(|_| format!("{text} is not a number"))
}

fn size(value: &DeValue<'_>) -> Result<ByteSize, String> {
    let write = "write bytes, or a whole number and KiB, MiB, GiB, TiB, kB, MB, GB or TB";
    match value {
        DeValue::String(text) => ByteSize::from_str(text).map_err(|why| format!("{why}; {write}")),
        DeValue::Integer(number) => {
            whole(number).map(ByteSize).ok_or_else(|| format!("{number} is not an amount of bytes; {write}"))
        }
        other => Err(format!("is {}, not an amount of bytes; {write}", article(other))),
    }
}

fn whole(number: &toml::de::DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}
