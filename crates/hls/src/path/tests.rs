#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.eyJzaWQiOiJzLTEifQ.c2ln_-8";

fn path_of(token: Option<&str>, path: &str, query: Option<&str>) -> RequestPath {
    RequestPath { token: token.map(Into::into), path: path.into(), query: query.map(Into::into) }
}

#[test]
fn targets_come_apart() {
    let cases: &[(&str, RequestPath)] = &[
        ("/", path_of(None, "/", None)),
        ("/?", path_of(None, "/", None)),
        ("/a.ts", path_of(None, "/a.ts", None)),
        ("/a/", path_of(None, "/a/", None)),
        ("/a/b.ts?v=2&w", path_of(None, "/a/b.ts", Some("v=2&w"))),
        ("/a%20b/%D0%BA.ts", path_of(None, "/a b/к.ts", None)),
        ("/к.ts", path_of(None, "/к.ts", None)),
        ("/a+b.ts", path_of(None, "/a+b.ts", None)),
        ("/a..b/...x/.hidden", path_of(None, "/a..b/...x/.hidden", None)),
        ("/100%25.ts", path_of(None, "/100%.ts", None)),
        ("/%2541.ts", path_of(None, "/%41.ts", None)),
        ("/%3Fa=b", path_of(None, "/?a=b", None)),
        ("/a.ts?next=/../%00&bad=%zz", path_of(None, "/a.ts", Some("next=/../%00&bad=%zz"))),
        ("/~t0-_.K/a.ts", path_of(Some("t0-_.K"), "/a.ts", None)),
        ("/%7Et/a.ts", path_of(Some("t"), "/a.ts", None)),
        ("/~t", path_of(Some("t"), "/", None)),
        ("/~t/", path_of(Some("t"), "/", None)),
        ("/~t/a~b/~c", path_of(Some("t"), "/a~b/~c", None)),
        ("/~t/a?x=1&kt=t", path_of(Some("t"), "/a", Some("x=1"))),
        ("/a?kt=t", path_of(Some("t"), "/a", None)),
        ("/a?x=1&kt=t&y=%20", path_of(Some("t"), "/a", Some("x=1&y=%20"))),
        ("/a?kt=t&kt=t", path_of(Some("t"), "/a", None)),
        ("/a?%6bt=t", path_of(Some("t"), "/a", None)),
        ("/a?kt=", path_of(None, "/a", None)),
        ("/a?kt", path_of(None, "/a", None)),
        ("/a?kts=t", path_of(None, "/a", Some("kts=t"))),
    ];
    for (raw, expected) in cases {
        assert_eq!(split(raw).as_ref(), Ok(expected), "{raw}");
    }
    let long = format!("/~{TOKEN}/stream/demo/master.m3u8");
    assert_eq!(split(&long), Ok(path_of(Some(TOKEN), "/stream/demo/master.m3u8", None)));
}

#[test]
fn what_can_be_read_two_ways_is_refused() {
    use PathError::*;
    let cases: &[(&str, PathError)] = &[
        ("", NotAbsolute),
        ("a.ts", NotAbsolute),
        ("*", NotAbsolute),
        ("http://host/a", NotAbsolute),
        ("/..", DotSegment),
        ("/a/../b", DotSegment),
        ("/a/./b", DotSegment),
        ("/a/%2e%2E/b", DotSegment),
        ("/a/.%2e", DotSegment),
        ("/a/..;x=1/b", DotSegment),
        ("/~t/../b", DotSegment),
        ("/a/%252e%252e/b", DoubleEncoding),
        ("/a/%252fb", DoubleEncoding),
        ("/a/%255Cb", DoubleEncoding),
        ("/a/%2500", DoubleEncoding),
        ("/a/%25252e", DoubleEncoding),
        ("/a%2fb", EncodedSlash),
        ("/%2F", EncodedSlash),
        ("/a\\b", Backslash),
        ("/a%5cb", Backslash),
        ("/a%00b", Control),
        ("/a%0d%0ab", Control),
        ("/a%7f", Control),
        ("/a%c2%85", Control),
        ("/a\nb", Control),
        ("/a?b\r\nc", Control),
        ("//", EmptySegment),
        ("//a", EmptySegment),
        ("/a//b", EmptySegment),
        ("/~t//a", EmptySegment),
        ("/a%", BadEscape),
        ("/a%2", BadEscape),
        ("/a%zz", BadEscape),
        ("/a%+2", BadEscape),
        ("/a%к2", BadEscape),
        ("/a%ff", NotUtf8),
        ("/a%c0%ae", NotUtf8),
        ("/a#b", Fragment),
        ("/~/a", BadToken),
        ("/~", BadToken),
        ("/~a%20b/c", BadToken),
        ("/~a%2fb/c", BadToken),
        ("/~a:b/c", BadToken),
        ("/a?kt=a%20b", BadToken),
        ("/a?kt=%zz", BadToken),
        ("/~one/~two/a", TwoTokens),
        ("/~one/%7etwo/a", TwoTokens),
        ("/~one/a?kt=two", TwoTokens),
        ("/a?kt=one&kt=two", TwoTokens),
    ];
    for (raw, expected) in cases {
        assert_eq!(split(raw), Err(*expected), "{raw:?}");
    }
}

#[test]
fn length_is_judged_after_decoding() {
    let longest = format!("/{}", "a".repeat(MAX_PATH - 1));
    assert!(split(&longest).is_ok());
    assert!(split(&format!("/{}", "%61".repeat(MAX_PATH - 1))).is_ok());
    assert_eq!(split(&format!("{longest}a")), Err(PathError::TooLong));
    assert!(split(&format!("/~{}/a", "t".repeat(MAX_TOKEN))).is_ok());
    assert_eq!(split(&format!("/~{}/a", "t".repeat(MAX_TOKEN + 1))), Err(PathError::TooLong));
    assert_eq!(split(&format!("/a?{}", "q".repeat(MAX_TARGET))), Err(PathError::TooLong));
}

#[test]
fn a_service_without_tokens_keeps_its_tildes() {
    assert_eq!(split_plain("/~anna/a.ts?kt=1"), Ok(path_of(None, "/~anna/a.ts", Some("kt=1"))));
    assert_eq!(split_plain("/~/a?"), Ok(path_of(None, "/~/a", None)));
    assert_eq!(split_plain("/a/%2e%2e"), Err(PathError::DotSegment));
}

#[test]
fn a_token_is_never_shown() {
    let path = split(&format!("/~{TOKEN}/a?x=1")).unwrap();
    let shown = format!("{path:?}");
    assert!(!shown.contains(TOKEN) && shown.contains("***") && shown.contains("/a"), "{shown}");
}

#[test]
fn paths_are_written_for_urls() {
    for (path, encoded) in [
        ("/a/b-c_d.e~f", "/a/b-c_d.e~f"),
        ("/a b?c#d%", "/a%20b%3Fc%23d%25"),
        ("/к", "/%D0%BA"),
        ("/a+b&c=d;e", "/a%2Bb%26c%3Dd%3Be"),
    ] {
        assert_eq!(encode_path(path), encoded);
    }
}

/// Targets that are mostly made of what attacks are made of.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("%252e"),
        Just("%25"),
        Just("%2f"),
        Just("%5C"),
        Just("\\"),
        Just("%00"),
        Just("%"),
        Just("%7E"),
        Just("~"),
        Just("?"),
        Just("&"),
        Just("kt="),
        Just(";"),
        Just("a"),
        Just("é"),
        Just("%c3%a9"),
        Just("2e"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn assert_clean(path: &str) {
    assert!(path.starts_with('/'), "{path:?}");
    assert!(!path.contains('\\') && !path.contains('\0') && !path.contains("//"), "{path:?}");
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{path:?}");
    assert!(path.len() <= MAX_PATH, "{path:?}");
}

/// What a careless server behind us would make of a path by decoding it once more.
fn decoded_again(path: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) if byte == b'%' => {
                decoded.push(escaped);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn any_text_is_clean_or_refused(raw in "\\PC*|/.*") {
        if let Ok(parts) = split(&raw) {
            assert_clean(&parts.path);
        }
    }

    #[test]
    fn nasty_text_is_clean_or_refused_and_stays_itself(raw in nasty()) {
        if let Ok(parts) = split(&raw) {
            assert_clean(&parts.path);
            assert_clean(&decoded_again(&parts.path));
            prop_assert_eq!(split(&encode_path(&parts.path)), Ok(path_of(None, &parts.path, None)));
        }
        if let Ok(parts) = split_plain(&raw) {
            assert_clean(&parts.path);
            prop_assert_eq!(split_plain(&encode_path(&parts.path)), Ok(path_of(None, &parts.path, None)));
        }
    }

    #[test]
    fn ordinary_names_survive(names in proptest::collection::vec("[a-zA-Zа-я0-9 +&=,;:@!$'()_-]{1,12}", 1..6)) {
        let path = format!("/{}", names.join("/"));
        prop_assert_eq!(split(&encode_path(&path)), Ok(path_of(None, &path, None)));
    }
}
