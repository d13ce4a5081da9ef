//! Sizes, rates and cookies: strangers get no more than they are owed.

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::rdata::opt::{EdnsCode, EdnsOption},
};
use proptest::prelude::*;

use super::{
    super::{
        numbers::{HEADER, UDP_MAX, kind, option},
        responder::{AMPLIFICATION, Asker, Now, Scratch},
    },
    Question, ask, ask_at, ask_tcp, edge, server, three,
};

/// The cookie of an answer.
fn cookie(message: &Message) -> Option<Vec<u8>> {
    match message.edns.as_ref()?.option(EdnsCode::Cookie)? {
        EdnsOption::Unknown(_, value) => Some(value.clone()),
        _ => None,
    }
}

fn with_cookie(name: &str, kind: u16, value: &[u8]) -> Question {
    Question::new(name, kind).edns(1232).option(option::COOKIE, value)
}

#[test]
fn a_flood_from_one_network_gets_its_rate_and_beyond_it_every_second_one_is_sent_to_tcp() {
    let server = server(three(), 0, 100);
    let question = Question::new("video.a.cdn.test", kind::A);
    let (mut whole, mut cut, mut none) = (0, 0, 0);
    let mut scratch = Scratch::default();
    for n in 0..10_000u64 {
        // A thousand a second for ten seconds.
        let now = Now { us: 5_000_000 + n * 1_000, unix_s: 1_700_000_000 };
        let asker = Asker { ip: [198, 51, 100, (n % 256) as u8].into(), tcp: false };
        let mut out = vec![0; UDP_MAX];
        let length = server.respond(&question.bytes, asker, now, &mut out, &mut scratch);
        out.truncate(length);
        match Message::from_vec(&out) {
            Ok(answer) if answer.truncation => {
                assert_eq!(
                    (answer.answers.len(), length),
                    (0, question.bytes.len()),
                    "no longer than its question"
                );
                cut += 1;
            }
            Ok(answer) => {
                assert_eq!(answer.answers.len(), 3);
                whole += 1;
            }
            Err(_) => none += 1,
        }
    }
    assert!((1_090..=1_110).contains(&whole), "{whole}: ten seconds and the burst");
    assert!(cut + none == 10_000 - whole && (cut as i64 - none as i64).abs() <= 1, "{cut} {none}");
    assert_eq!(ask_tcp(&server, &question).answers.len(), 3, "over TCP nobody is limited");
}

#[test]
fn a_cookie_frees_from_the_rate() {
    let server = server(three(), 0, 10);
    let first = ask(&server, &with_cookie("cdn.test", kind::A, &[1, 2, 3, 4, 5, 6, 7, 8]));
    let whole = cookie(&first).unwrap();
    assert_eq!((whole.len(), &whole[..8]), (24, [1, 2, 3, 4, 5, 6, 7, 8].as_slice()));
    let question = with_cookie("cdn.test", kind::A, &whole);
    for _ in 0..1_000 {
        assert_eq!(ask(&server, &question).answers.len(), 3);
    }
    let forged = with_cookie("cdn.test", kind::A, &[&whole[..23], &[whole[23] ^ 1]].concat());
    let answered = (0..100).filter(|_| {
        ask_at(&server, &forged.bytes, 0)
            .is_some_and(|answer| !Message::from_vec(&answer).unwrap().truncation)
    });
    assert!(answered.count() <= 10);
}

#[test]
fn a_cookie_can_be_asked_for_without_a_question() {
    let server = server(three(), 0, 0);
    let mut bytes =
        vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8];
    bytes.extend([9; 8]);
    let answer = Message::from_vec(&ask_at(&server, &bytes, 0).unwrap()).unwrap();
    assert_eq!((answer.response_code, answer.queries.len()), (ResponseCode::NoError, 0));
    assert_eq!(cookie(&answer).unwrap().len(), 24);
    let broken = with_cookie("cdn.test", kind::A, &[1; 9]);
    assert_eq!(ask(&server, &broken).response_code, ResponseCode::FormErr);
}

#[test]
fn what_is_too_large_is_truncated_and_comes_whole_over_tcp() {
    let server = server(three(), 0, 0);
    let question = Question::new("wide.test", kind::NS);
    let cut = ask(&server, &question);
    assert_eq!((cut.truncation, cut.answers.len(), cut.authoritative), (true, 0, true));
    assert_eq!(ask_tcp(&server, &question).answers.len(), 8);
    let whole = cookie(&ask(&server, &with_cookie("wide.test", kind::A, &[1; 8]))).unwrap();
    let proven = ask(&server, &with_cookie("wide.test", kind::NS, &whole));
    assert_eq!((proven.truncation, proven.answers.len()), (false, 8), "a cookie lifts the bound");
}

#[test]
fn the_answers_about_edges_stay_below_the_bound_for_the_shortest_names() {
    let edges = (1..=3).map(|n| edge(n, Some(8443), true)).collect();
    let server = server(edges, 0, 0);
    for kind in [kind::A, kind::AAAA, kind::HTTPS, kind::SOA] {
        assert!(!ask(&server, &Question::new("cdn.test", kind)).truncation, "{kind}");
    }
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("cdn.test".to_owned()),
        Just("video.a.cdn.test".to_owned()),
        Just("ns1.cdn.test".to_owned()),
        Just("example.com".to_owned()),
        "[a-zA-Z0-9_-]{1,63}".prop_map(|label| format!("{label}.video.a.cdn.test")),
        proptest::collection::vec("[a-z]{1,20}", 1..8).prop_map(|labels| labels.join(".") + ".live.cdn.test"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whoever forges an address gets at most five times his bytes, and never a message that does not fit.
    #[test]
    fn no_answer_over_udp_is_larger_than_its_bound(
        name in names(),
        kind in prop_oneof![Just(1u16), Just(28), Just(65), Just(6), Just(2), Just(255), any::<u16>()],
        edns in proptest::option::of(any::<u16>()),
        subnet in proptest::option::of((any::<u32>(), 0u8..=32)),
        client in proptest::option::of(any::<[u8; 8]>()),
        scope in 0u8..=32,
        count in 0u8..=3,
    ) {
        let server = server((1..=count).map(|n| edge(n, Some(8443), true)).collect(), scope, 0);
        let mut question = Question::new(&name, kind);
        if edns.is_some() || subnet.is_some() || client.is_some() {
            question = question.edns(edns.unwrap_or(512));
        }
        if let Some((address, source)) = subnet {
            let mask = u32::MAX.checked_shl(32 - u32::from(source)).unwrap_or(0);
            question = question.subnet((address & mask).to_be_bytes(), source);
        }
        if let Some(client) = client {
            question = question.option(option::COOKIE, &client);
        }
        let answer = ask_at(&server, &question.bytes, 0).unwrap();
        prop_assert!(answer.len() <= AMPLIFICATION * question.bytes.len());
        prop_assert!(answer.len() <= usize::from(edns.unwrap_or(512)).clamp(512, UDP_MAX));
        let read = Message::from_vec(&answer).unwrap();
        prop_assert_eq!(read.id, 0xABCD);
        prop_assert_eq!(read.edns.is_some(), edns.is_some() || subnet.is_some() || client.is_some());
        let question_end = HEADER + name.split('.').map(|label| 1 + label.len()).sum::<usize>() + 1 + 4;
        prop_assert_eq!(&answer[HEADER..question_end], &question.bytes[HEADER..question_end]);
        if let Some(EdnsOption::Subnet(told)) = read.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet)) {
            prop_assert_eq!(Some(told.source_prefix()), subnet.map(|(_, source)| source));
            prop_assert!(told.scope_prefix() == 0 || told.scope_prefix() == scope);
        }
        // Over TCP nothing is cut.
        prop_assert!(!ask_tcp(&server, &question).truncation);
    }
}
