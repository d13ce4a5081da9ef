//! What is answered to which question.

use std::net::IpAddr;

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        RData, RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};

use super::{super::numbers::kind, Question, ask, ask_at, ask_tcp, edge, server, three};

fn addresses(message: &Message) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(a) => IpAddr::V4(a.0),
        RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
        other => panic!("{other:?}"),
    };
    message.answers.iter().map(|record| address(&record.data)).collect()
}

fn said(message: &Message) -> (ResponseCode, bool, usize, Vec<RecordType>) {
    let authority = message.authorities.iter().map(|record| record.record_type()).collect();
    (message.response_code, message.authoritative, message.answers.len(), authority)
}

#[test]
fn a_service_is_answered_with_its_edges_best_first() {
    let server = server(three(), 24, 0);
    let answer = ask(&server, &Question::new("video.a.cdn.test", kind::A));
    assert_eq!(said(&answer), (ResponseCode::NoError, true, 3, vec![]));
    let expected: Vec<IpAddr> = (1..=3).map(|n| IpAddr::from([192, 0, 2, n])).collect();
    assert_eq!(addresses(&answer), expected);
    assert!(answer.answers.iter().all(|record| record.ttl == 20 && record.name == answer.queries[0].name));
    assert!((answer.id, answer.recursion_desired, answer.recursion_available) == (0xABCD, true, false));
    let answer = ask(&server, &Question::new("radio.live.cdn.test", kind::AAAA));
    assert_eq!(addresses(&answer)[2], "2001:db8::3".parse::<IpAddr>().unwrap());
    assert_eq!(answer.answers[0].ttl, 5, "its zone's, which is the nearest one");
    assert_eq!(addresses(&ask(&server, &Question::new("cdn.test", kind::A))).len(), 3, "a zone's own name");
}

#[test]
fn letters_keep_their_case_and_do_not_matter() {
    let server = server(three(), 0, 0);
    let question = Question::new("ViDeO.a.CDN.tEsT", kind::A);
    let answer = ask_at(&server, &question.bytes, 0).unwrap();
    assert_eq!(answer[12..question.bytes.len()], question.bytes[12..]);
    assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 3);
}

#[test]
fn what_stands_before_a_service_is_a_shard_of_it() {
    let server = server(three(), 0, 0);
    for name in ["video.a.cdn.test", "S7.video.a.cdn.test", "x.y.video.a.cdn.test", "q.cdn.test"] {
        assert_eq!(ask(&server, &Question::new(name, kind::A)).answers.len(), 3, "{name}");
    }
    let keys: Vec<String> = server.edges.asked.lock().unwrap().iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys[0], "video/");
    assert!(keys[1].starts_with("video/") && keys[1].contains("s7"), "{keys:?}");
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "each has its own key");
}

#[test]
fn missing_names_and_types_are_told_apart() {
    let server = server(three(), 0, 0);
    let soa = vec![RecordType::SOA];
    for (name, kind, code, answers, authority) in [
        ("video.a.cdn.test", 16, ResponseCode::NoError, 0, &soa),
        ("a.cdn.test", kind::A, ResponseCode::NoError, 0, &soa),
        ("x.a.cdn.test", kind::A, ResponseCode::NXDomain, 0, &soa),
        ("ns1.cdn.test", kind::HTTPS, ResponseCode::NoError, 0, &soa),
        ("x.ns1.cdn.test", kind::A, ResponseCode::NXDomain, 0, &soa),
        ("live.cdn.test", kind::A, ResponseCode::NoError, 0, &soa),
        ("x.live.cdn.test", kind::A, ResponseCode::NXDomain, 0, &soa),
        ("ns1.cdn.test", kind::A, ResponseCode::NoError, 1, &vec![]),
        ("ns1.cdn.test", kind::AAAA, ResponseCode::NoError, 1, &vec![]),
        ("live.cdn.test", kind::SOA, ResponseCode::NoError, 1, &vec![]),
        ("video.a.cdn.test", kind::SOA, ResponseCode::NoError, 0, &soa),
    ] {
        let answer = ask(&server, &Question::new(name, kind));
        assert_eq!(said(&answer), (code, true, answers, authority.clone()), "{name} {kind}");
        if let Some(record) = answer.authorities.first() {
            let zone = if name.contains("live") { "live.cdn.test." } else { "cdn.test." };
            assert_eq!(record.name.to_ascii(), zone, "{name}");
            assert_eq!(record.ttl, if name.contains("live") { 5 } else { 20 });
        }
    }
    for name in ["example.com", "test", "xcdn.test", "cdn.test.example", "", "com"] {
        let answer = ask(&server, &Question::new(name, kind::A));
        assert_eq!(said(&answer), (ResponseCode::Refused, false, 0, vec![]), "{name}");
    }
}

#[test]
fn a_zone_names_its_servers_and_their_addresses() {
    let server = server(three(), 0, 0);
    let answer = ask_tcp(&server, &Question::new("cdn.test", kind::NS));
    let named: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(named, ["ns1.cdn.test.", "ns.other.test."]);
    let glue: Vec<String> =
        answer.additionals.iter().map(|record| format!("{} {}", record.name, record.data)).collect();
    assert_eq!(glue, ["ns1.cdn.test. 192.0.2.53", "ns1.cdn.test. 2001:db8::53"]);
    let RData::SOA(soa) = &ask(&server, &Question::new("cdn.test", kind::SOA)).answers[0].data.clone() else {
        panic!("no SOA");
    };
    assert_eq!(
        (soa.mname.to_ascii(), soa.rname.to_ascii()),
        ("ns1.cdn.test.".into(), "hostmaster.cdn.test.".into())
    );
    assert_eq!((soa.serial, soa.minimum), (7, 20));
}

#[test]
fn an_https_record_promises_what_all_edges_of_the_answer_have() {
    let told = |edges| {
        let answer = ask_tcp(&server(edges, 0, 0), &Question::new("cdn.test", kind::HTTPS));
        let record = answer.answers.first()?;
        let RData::HTTPS(https) = &record.data else { panic!("{record}") };
        assert_eq!((https.svc_priority, https.target_name.to_ascii()), (1, ".".to_owned()));
        let mut told = String::new();
        for (key, value) in &https.svc_params {
            told.push_str(&format!("{key}={} ", value.to_string().trim_end_matches(',')));
        }
        Some(told)
    };
    let hints = "ipv4hint=192.0.2.1,192.0.2.2,192.0.2.3 ipv6hint=2001:db8::1,2001:db8::2,2001:db8::3 ";
    let plain = told(three()).unwrap();
    assert!(plain.starts_with("alpn=h2") && plain.ends_with(hints) && !plain.contains("port"), "{plain}");
    let all_h3 = told((1..=3).map(|n| edge(n, Some(8443), true)).collect()).unwrap();
    assert!(all_h3.starts_with("alpn=h3,h2") && all_h3.contains("port=8443"), "{all_h3}");
    let some_h3 = told(vec![edge(1, Some(443), true), edge(2, Some(443), false), edge(3, Some(443), true)]);
    assert!(some_h3.unwrap().starts_with("alpn=h2"), "one of the addresses would not speak it");
    assert_eq!(told(vec![edge(1, Some(443), false), edge(2, Some(8443), false)]), None, "two ports");
    assert_eq!(told(vec![edge(1, None, false)]), None, "no TLS");
}

#[test]
fn without_any_edge_it_is_a_failure_and_not_an_absence() {
    let server = server(vec![], 24, 0);
    for kind in [kind::A, kind::AAAA, kind::HTTPS] {
        let answer = ask(&server, &Question::new("video.a.cdn.test", kind));
        assert_eq!(said(&answer), (ResponseCode::ServFail, true, 0, vec![]), "{kind}");
    }
    let other = ask(&server, &Question::new("cdn.test", kind::SOA));
    assert_eq!(said(&other), (ResponseCode::NoError, true, 1, vec![]));
}

#[test]
fn edges_without_ipv6_have_no_ipv6_answer() {
    let reach = crate::rank::Reach { v6: None, ..edge(1, Some(443), false) };
    let server = server(vec![reach], 0, 0);
    let answer = ask(&server, &Question::new("cdn.test", kind::AAAA));
    assert_eq!(said(&answer), (ResponseCode::NoError, true, 0, vec![RecordType::SOA]));
}

#[test]
fn any_is_answered_minimally() {
    let server = server(three(), 0, 0);
    let answer = ask(&server, &Question::new("video.a.cdn.test", kind::ANY));
    assert_eq!(said(&answer), (ResponseCode::NoError, true, 1, vec![]));
    assert_eq!(answer.answers[0].record_type(), RecordType::HINFO);
    let missing = ask(&server, &Question::new("x.a.cdn.test", kind::ANY));
    assert_eq!(missing.response_code, ResponseCode::NXDomain);
}

#[test]
fn what_is_not_a_query_of_the_internet_is_not_answered_as_one() {
    let server = server(three(), 0, 0);
    let mut update = Question::new("cdn.test", kind::SOA);
    update.bytes[2] = 5 << 3;
    let answer = ask(&server, &update);
    assert_eq!((answer.response_code, answer.op_code), (ResponseCode::NotImp, OpCode::Update));
    for kind in [kind::AXFR, kind::IXFR] {
        assert_eq!(ask(&server, &Question::new("cdn.test", kind)).response_code, ResponseCode::Refused);
    }
    let mut chaos = Question::new("version.bind", 16);
    let end = chaos.bytes.len();
    chaos.bytes[end - 1] = 3;
    assert_eq!(ask(&server, &chaos).response_code, ResponseCode::Refused);
    let opt = ask(&server, &Question::new("cdn.test", kind::OPT));
    assert_eq!(opt.response_code, ResponseCode::FormErr);
}

#[test]
fn answers_and_scraps_are_not_answered() {
    let server = server(three(), 0, 0);
    let mut answer = Question::new("cdn.test", kind::A).bytes;
    answer[2] |= 0x80;
    assert_eq!(ask_at(&server, &answer, 0), None, "two servers could talk for ever");
    for length in 0..12 {
        assert_eq!(ask_at(&server, &answer[..length], 0), None);
    }
}

#[test]
fn an_unknown_edns_version_is_told_which_one_is_known() {
    let server = server(three(), 0, 0);
    let mut question = Question::new("cdn.test", kind::A).edns(1232);
    let at = question.bytes.len() - 5;
    question.bytes[at] = 1;
    let answer = ask(&server, &question);
    assert_eq!(u16::from(answer.response_code), 16, "BADVERS");
    assert_eq!(answer.edns.unwrap().version(), 0);
    let answer = ask(&server, &Question::new("cdn.test", kind::A).edns(4096));
    assert_eq!(answer.edns.unwrap().max_payload(), 1232);
    assert!(ask(&server, &Question::new("cdn.test", kind::A)).edns.is_none(), "not asked for");
}

#[test]
fn the_scope_is_that_of_the_network_that_decided() {
    let scope = |server: &_, question: &Question| {
        let answer = ask(server, question);
        match answer.edns.unwrap().option(EdnsCode::Subnet) {
            Some(EdnsOption::Subnet(subnet)) => {
                Some((subnet.addr(), subnet.source_prefix(), subnet.scope_prefix()))
            }
            _ => None,
        }
    };
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let near = server(three(), 24, 0);
    let video = || Question::new("video.a.cdn.test", kind::A);
    assert_eq!(scope(&near, &video().subnet([203, 0, 113, 9], 32)), Some((ip("203.0.113.9"), 32, 24)));
    assert_eq!(scope(&near, &video().subnet([203, 0, 0, 0], 16)), Some((ip("203.0.0.0"), 16, 24)));
    let clients =
        |server: &super::Responder<super::Fixed>| server.edges.asked.lock().unwrap().last().unwrap().1;
    assert_eq!(clients(&near), ip("203.0.0.0"));
    // Whom nobody can be: the resolver decides, and the answer is for all that it serves.
    assert_eq!(scope(&near, &video().subnet([10, 1, 2, 0], 24)), Some((ip("10.1.2.0"), 24, 0)));
    assert_eq!(clients(&near), ip(super::PEER));
    assert_eq!(scope(&near, &video().subnet([0; 4], 0)), Some((ip("0.0.0.0"), 0, 0)));
    assert_eq!(clients(&near), ip(super::PEER));
    // What does not depend on the network says so.
    let soa = Question::new("cdn.test", kind::SOA).subnet([203, 0, 113, 0], 24);
    assert_eq!(scope(&near, &soa), Some((ip("203.0.113.0"), 24, 0)));
    let equal = server(three(), 0, 0);
    assert_eq!(scope(&equal, &video().subnet([203, 0, 113, 0], 24)), Some((ip("203.0.113.0"), 24, 0)));
    // Nobody who did not ask is told.
    assert_eq!(scope(&near, &video().edns(1232)), None);
}

#[test]
fn a_broken_subnet_is_a_format_error_with_an_opt_record() {
    let server = server(three(), 24, 0);
    let question = Question::new("cdn.test", kind::A).edns(1232).option(8, &[0, 1, 24, 0, 1, 2, 3, 4]);
    let answer = ask(&server, &question);
    assert_eq!(answer.response_code, ResponseCode::FormErr);
    assert!(answer.edns.is_some());
    assert!(server.edges.asked.lock().unwrap().is_empty());
}
