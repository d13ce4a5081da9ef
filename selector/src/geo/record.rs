//! What a record says, whoever made the database.
//!
//! MaxMind and DB-IP nest: `country.iso_code`, `location.latitude`. Others write flat: `country_code`, `lat`, `asn`
//! as `AS64500`, numbers as text. Both are understood; what else stands in a record is passed over.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use crate::rank::{Position, Whereabouts};

/// How far a position may be off, in kilometres, that comes with a city and without a word on its accuracy.
const CITY_KM: f64 = 50.0;

/// The fields that are looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    country: Option<Code>,
    registered_country: Option<Code>,
    #[serde(alias = "country_iso_code")]
    country_code: Option<Code>,
    city: Option<IgnoredAny>,
    location: Option<Location>,
    #[serde(alias = "lat")]
    latitude: Option<Number>,
    #[serde(alias = "lng", alias = "lon")]
    longitude: Option<Number>,
    #[serde(alias = "asn", alias = "as_number")]
    autonomous_system_number: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    latitude: Option<Number>,
    longitude: Option<Number>,
    accuracy_radius: Option<Number>,
}

/// A country: two letters, alone or as the `iso_code` of a map. Anything else is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Code(Option<[u8; 2]>);

/// A number, or a text that ends in one (`AS64500`). Anything else is none.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Number(Option<f64>);

impl Record {
    pub(super) fn whereabouts(&self) -> Whereabouts {
        let code = |code: Option<Code>| code.and_then(|code| code.0);
        let number = |number: Option<Number>| number.and_then(|number| number.0);
        let nested = self.location.as_ref();
        let latitude = number(nested.and_then(|at| at.latitude)).or(number(self.latitude));
        let longitude = number(nested.and_then(|at| at.longitude)).or(number(self.longitude));
        // Who names no city and no accuracy means the middle of a country.
        let usual = if self.city.is_some() { CITY_KM } else { f64::INFINITY };
        let accuracy_km = number(nested.and_then(|at| at.accuracy_radius)).unwrap_or(usual);
        let position = latitude.zip(longitude);
        let asn =
            number(self.autonomous_system_number).filter(|asn| (1.0..=f64::from(u32::MAX)).contains(asn));
        Whereabouts {
            asn: asn.map(|asn| asn as u32),
            country: code(self.country).or(code(self.country_code)).or(code(self.registered_country)),
            position: position.map(|(latitude, longitude)| Position { latitude, longitude, accuracy_km }),
        }
    }
}

impl Code {
    fn read(text: &str) -> Code {
        let letters: Option<[u8; 2]> = text.as_bytes().try_into().ok();
        let letters = letters.filter(|letters| letters.iter().all(u8::is_ascii_alphabetic));
        Code(letters.map(|letters| letters.map(|letter| letter.to_ascii_uppercase())))
    }
}

impl Number {
    fn read(text: &str) -> Number {
        Number(text.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().ok())
    }
}

/// Makes of any value of a record what it can.
struct Any<T>(PhantomData<T>);

trait Lenient: Sized {
    fn text(text: &str) -> Self;
    fn number(value: f64) -> Self;
    fn map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

impl Lenient for Code {
    fn text(text: &str) -> Code {
        Code::read(text)
    }

    fn number(_: f64) -> Code {
        Code(None)
    }

    fn map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Code, A::Error> {
        let mut code = Code(None);
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "iso_code" => code = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(code)
    }
}

impl Lenient for Number {
    fn text(text: &str) -> Number {
        Number::read(text)
    }

    fn number(value: f64) -> Number {
        Number(Some(value))
    }

    fn map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Number, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }
}

impl<'de, T: Lenient> Visitor<'de> for Any<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a map")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Ok(T::number(value))
    }

    fn visit_f32<E: Error>(self, value: f32) -> Result<T, E> {
        Ok(T::number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Ok(T::number(value as f64))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Ok(T::number(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        deserializer.deserialize_any(Any(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::json;

    use super::*;

    fn read(record: &serde_json::Value) -> Whereabouts {
        let text = record.to_string();
        serde_json::from_str::<Record>(&text).unwrap().whereabouts()
    }

    #[test]
    fn nested_and_flat_records_say_the_same() {
        let nested = json!({
            "city": {"names": {"en": "Linköping"}},
            "country": {"geoname_id": 1, "iso_code": "SE", "names": {"de": "Schweden"}},
            "location": {"accuracy_radius": 76, "latitude": 58.4167, "longitude": 15.6167, "time_zone": "x"},
            "autonomous_system_number": 29518,
            "traits": {"is_anycast": true},
        });
        let position = Position { latitude: 58.4167, longitude: 15.6167, accuracy_km: 76.0 };
        let known = Whereabouts { asn: Some(29518), country: Some(*b"SE"), position: Some(position) };
        assert_eq!(read(&nested), known);
        let flat = json!({"country_code": "se", "city": "Linköping", "lat": "58.4167", "lng": "15.6167", "asn": "AS29518"});
        let position = Position { accuracy_km: CITY_KM, ..position };
        assert_eq!(read(&flat), Whereabouts { position: Some(position), ..known });
    }

    #[test]
    fn what_is_missing_or_of_another_shape_is_unknown() {
        assert_eq!(read(&json!({})), Whereabouts::default());
        let odd = json!({"country": "Sweden", "asn": {"x": [1]}, "location": {"latitude": "north"}});
        assert_eq!(read(&odd), Whereabouts::default());
        let middle = read(
            &json!({"registered_country": {"iso_code": "SE"}, "location": {"latitude": 62.0, "longitude": 15.0}}),
        );
        assert_eq!(middle.country, Some(*b"SE"));
        assert!(middle.trusted().is_none(), "the middle of a country is no position");
    }
}
