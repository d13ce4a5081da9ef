//! Databases as files: written here, by the rules of the format (MaxMind DB, version 2.0), and then damaged.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::rank::Position;

/// A value of a record.
enum Value {
    Text(&'static str),
    Double(f64),
    Number(u32),
    Short(u16),
    Long(u64),
    Nothing,
    Map(Vec<(&'static str, Value)>),
}

use Value::{Double, Long, Map, Nothing, Number, Short, Text};

fn write(value: &Value, out: &mut Vec<u8>) {
    let control = |kind: u8, size: usize, out: &mut Vec<u8>| {
        assert!(size < 29, "the short form will do");
        out.push(kind << 5 | size as u8);
    };
    match value {
        Text(text) => {
            control(2, text.len(), out);
            out.extend(text.bytes());
        }
        Double(value) => {
            control(3, 8, out);
            out.extend(value.to_be_bytes());
        }
        Number(value) => {
            control(6, 4, out);
            out.extend(value.to_be_bytes());
        }
        Short(value) => {
            control(5, 2, out);
            out.extend(value.to_be_bytes());
        }
        Long(value) => {
            // A kind past 7 stands in a byte of its own.
            out.extend([8, 9 - 7]);
            out.extend(value.to_be_bytes());
        }
        // A list without entries.
        Nothing => out.extend([0, 11 - 7]),
        Map(entries) => {
            control(7, entries.len(), out);
            for (key, value) in entries {
                write(&Text(key), out);
                write(value, out);
            }
        }
    }
}

/// A database of these networks: a binary tree over 128 bits, records of 32 bits.
fn database(networks: &[(&str, Value)]) -> Vec<u8> {
    #[derive(Clone, Copy)]
    enum Child {
        None,
        Node(usize),
        Data(usize),
    }
    let (mut nodes, mut data) = (vec![[Child::None; 2]], Vec::new());
    for (network, value) in networks {
        let (bits, length) = match network.parse::<IpNet>().unwrap() {
            IpNet::V4(v4) => (u128::from(u32::from(v4.network())), 96 + v4.prefix_len()),
            IpNet::V6(v6) => (u128::from(v6.network()), v6.prefix_len()),
        };
        let mut at = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[at][side] = Child::Data(data.len());
                write(value, &mut data);
            } else if let Child::Node(next) = nodes[at][side] {
                at = next;
            } else {
                nodes.push([Child::None; 2]);
                nodes[at][side] = Child::Node(nodes.len() - 1);
                at = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for child in nodes.iter().flatten() {
        let record = match child {
            Child::None => count,
            Child::Node(node) => *node,
            Child::Data(at) => count + 16 + at,
        };
        file.extend(u32::try_from(record).unwrap().to_be_bytes());
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Map(vec![
        ("node_count", Number(count as u32)),
        ("record_size", Short(32)),
        ("ip_version", Short(6)),
        ("database_type", Text("Test")),
        ("languages", Nothing),
        ("description", Map(vec![("en", Text("written by a test"))])),
        ("binary_format_major_version", Short(2)),
        ("binary_format_minor_version", Short(0)),
        ("build_epoch", Long(1_700_000_000)),
    ]);
    write(&metadata, &mut file);
    file
}

fn city(country: &'static str) -> Vec<u8> {
    let place = Map(vec![
        ("city", Map(vec![("geoname_id", Number(1))])),
        ("country", Map(vec![("iso_code", Text(country))])),
        (
            "location",
            Map(vec![
                ("latitude", Double(58.4)),
                ("longitude", Double(15.6)),
                ("accuracy_radius", Number(20)),
            ]),
        ),
    ]);
    database(&[("89.160.20.0/24", place), ("2001:db8::/32", Map(vec![("country", Text("ch"))]))])
}

fn asn() -> Vec<u8> {
    database(&[("89.160.0.0/17", Map(vec![("autonomous_system_number", Number(29518))]))])
}

/// As an upgrade does it: beside the old one, and then in its place.
fn put(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, path).unwrap();
}

fn country(geo: &Geo) -> Option<String> {
    let known = geo.whereabouts("89.160.20.112".parse().unwrap());
    known.country.map(|letters| String::from_utf8(letters.to_vec()).unwrap())
}

#[test]
fn two_databases_tell_together_where_an_address_is() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["city.mmdb", "asn.mmdb"].map(|name| folder.path().join(name));
    put(&paths[0], &city("SE"));
    put(&paths[1], &asn());
    let geo = Geo::new(&GeoConfig { city: Some(paths[0].clone()), asn: Some(paths[1].clone()) });
    assert_eq!(geo.whereabouts("89.160.20.112".parse().unwrap()), Whereabouts::default(), "not read yet");
    geo.refresh();
    let position = Position { latitude: 58.4, longitude: 15.6, accuracy_km: 20.0 };
    let known = Whereabouts { asn: Some(29518), country: Some(*b"SE"), position: Some(position) };
    for address in ["89.160.20.112", "::ffff:89.160.20.1"] {
        assert_eq!(geo.whereabouts(address.parse().unwrap()), known, "{address}");
    }
    let flat = geo.whereabouts("2001:db8::1".parse().unwrap());
    assert_eq!((flat.country, flat.asn, flat.position), (Some(*b"CH"), None, None));
    assert_eq!(geo.whereabouts("192.0.2.1".parse().unwrap()), Whereabouts::default());
    let health = geo.health();
    assert!(health.iter().all(|one| one.built == 1_700_000_000 && one.fault.is_none()), "{health:?}");
}

#[test]
fn a_network_that_is_known_in_parts_has_the_place_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    let of = |letters| Map(vec![("country", Text(letters))]);
    let parts = [
        ("81.2.69.160/27", of("GB")),
        ("81.2.69.200/32", of("FR")),
        ("203.0.113.0/30", of("SE")),
        ("203.0.113.128/25", of("NO")),
        ("2001:db8:0:ff00::/56", of("CH")),
    ];
    put(&path, &database(&parts));
    let geo = Geo::new(&GeoConfig { city: Some(path), asn: None });
    geo.refresh();
    for (network, letters) in [
        ("81.2.69.0/24", Some(*b"GB")),
        ("203.0.113.0/24", Some(*b"SE")),
        ("2001:db8::/48", Some(*b"CH")),
        ("2001:db8:1::/48", None),
        ("81.2.70.0/24", None),
        ("255.255.255.0/24", None),
    ] {
        assert_eq!(geo.of_network(network.parse().unwrap()).country, letters, "{network}");
    }
    assert_eq!(
        geo.whereabouts("81.2.69.1".parse().unwrap()).country,
        None,
        "of an address only what is its own"
    );
}

#[test]
fn a_file_that_changes_is_read_again_and_one_that_breaks_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    let geo = Geo::new(&GeoConfig { city: Some(path.clone()), asn: None });
    let fault = |geo: &Geo| {
        geo.refresh();
        geo.health().remove(0).fault.unwrap_or_default()
    };
    assert_ne!(fault(&geo), "", "it is missing");
    assert_eq!(country(&geo), None);
    put(&path, &city("SE"));
    assert_eq!((fault(&geo).as_str(), country(&geo).as_deref()), ("", Some("SE")), "it came");

    let whole = city("NO");
    let mut flipped = whole.clone();
    // Within the records: a text of a length that reaches beyond the end.
    let at = whole.windows(2).position(|pair| pair == b"NO").unwrap() - 1;
    flipped[at] = 2 << 5 | 30;
    for (what, bytes) in [
        ("empty", &[][..]),
        ("text", &b"<html>404</html>"[..]),
        ("cut", &whole[..whole.len() / 2]),
        ("cut before its metadata", &whole[200..]),
        ("with a broken record", &flipped),
    ] {
        put(&path, bytes);
        assert_ne!(fault(&geo), "", "{what}");
        assert_eq!(country(&geo).as_deref(), Some("SE"), "{what}: the one before stays");
    }
    fs::remove_file(&path).unwrap();
    assert_ne!(fault(&geo), "");
    assert_eq!(country(&geo).as_deref(), Some("SE"));
    put(&path, &whole);
    assert_eq!((fault(&geo).as_str(), country(&geo).as_deref()), ("", Some("NO")));
}

#[test]
fn nobody_waits_for_a_file_that_is_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    put(&path, &city("SE"));
    let geo = Geo::new(&GeoConfig { city: Some(path.clone()), asn: None });
    geo.refresh();
    let reading = geo.city.as_ref().unwrap().reading.lock();
    put(&path, &city("NO"));
    geo.refresh();
    assert_eq!((geo.health().len(), country(&geo).as_deref()), (1, Some("SE")));
    drop(reading);
    geo.refresh();
    assert_eq!(country(&geo).as_deref(), Some("NO"));
}

#[test]
fn any_damage_is_an_error_or_harmless_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    let whole = city("SE");
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x5a;
        put(&path, &damaged);
        let geo = Geo::new(&GeoConfig { city: Some(path.clone()), asn: None });
        geo.refresh();
        let _ = geo.whereabouts("89.160.20.112".parse().unwrap());
    }
}
