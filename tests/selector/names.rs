//! DNS: the names of services, answered with edges.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::world::fleet::{NAME, Plan, ZONE};
use crate::world::resolver::{addresses, cookie, for_network, question, scope, with_cookie};
use crate::world::settings::addresses_of;
use crate::world::{Fleet, Resolver, Up};

async fn fleet(edges: usize, lines: &str) -> (Fleet, Resolver) {
    // The port that viewers use is the same for all edges, as behind any one name.
    let reached = "tls_url = \"https://video.cdn.test:8443\"";
    let fleet = Plan::sample().edges(edges).with("edge", "node", reached).named(lines).start().await;
    let resolver = fleet.resolver();
    (fleet, resolver)
}

#[tokio::test]
async fn a_name_is_answered_with_three_edges_and_how_to_reach_them() {
    let (fleet, resolver) = fleet(3, "").await;
    for (kind, family) in [(RecordType::A, 0), (RecordType::AAAA, 1)] {
        for name in [NAME, &format!("s17.{NAME}")] {
            let answer = resolver.ask(name, kind).await;
            assert_eq!((answer.response_code, answer.authoritative), (ResponseCode::NoError, true));
            let mut found = addresses(&answer);
            found.sort();
            let expected: Vec<_> = fleet.edges.iter().map(|edge| addresses_of(&edge.id)[family]).collect();
            assert_eq!(found, expected, "{name} {kind}");
            assert!(answer.answers.iter().all(|record| record.ttl == 20));
        }
    }
    let https = resolver.ask(NAME, RecordType::HTTPS).await;
    let told = https.answers[0].data.to_string();
    assert!(told.contains("alpn=h2") && told.contains("port=8443") && told.contains("192.0.2.1"), "{told}");
    assert!(!told.contains("h3"), "no edge speaks it: {told}");
}

#[tokio::test]
async fn a_zone_says_who_answers_for_it_and_what_is_not_there() {
    let (_fleet, resolver) = fleet(1, "").await;
    let soa = resolver.ask(ZONE, RecordType::SOA).await;
    assert_eq!(soa.answers[0].record_type(), RecordType::SOA);
    let ns = resolver.ask(ZONE, RecordType::NS).await;
    assert_eq!(ns.answers[0].data.to_string(), format!("ns1.{ZONE}."));
    assert_eq!(addresses(&resolver.ask(&format!("ns1.{ZONE}"), RecordType::A).await).len(), 1);
    let missing = resolver.ask(&format!("nothing.{ZONE}"), RecordType::A).await;
    assert_eq!(missing.response_code, ResponseCode::NXDomain);
    assert_eq!(missing.authorities[0].record_type(), RecordType::SOA);
    let empty = resolver.ask(NAME, RecordType::TXT).await;
    assert_eq!((empty.response_code, empty.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(empty.authorities[0].record_type(), RecordType::SOA);
    assert_eq!(resolver.ask("example.org", RecordType::A).await.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn a_network_that_is_named_is_repeated_and_one_that_is_nobodys_is_not_used() {
    let (_fleet, resolver) = fleet(1, "").await;
    for (network, prefix) in [("203.0.113.0", 24), ("203.0.112.0", 20), ("10.0.0.0", 8), ("127.0.0.1", 32)] {
        let answer =
            resolver.send(&for_network(question(NAME, RecordType::A), network, prefix)).await.unwrap();
        assert_eq!((answer.answers.len(), scope(&answer).unwrap().0), (1, prefix), "{network}");
        // Nobody has measured a distance yet: whoever asks, the answer is the same.
        assert_eq!(scope(&answer).unwrap().1, 0, "{network}");
    }
    let plain = resolver.ask(NAME, RecordType::A).await;
    assert_eq!(scope(&plain), None, "nobody asked");
}

#[tokio::test]
async fn over_tcp_questions_may_stand_one_behind_the_other() {
    let (fleet, resolver) = fleet(2, "connections = 4").await;
    let questions: Vec<_> = (0..50).map(|n| question(&format!("s{n}.{NAME}"), RecordType::A)).collect();
    let answers = resolver.pipeline(&questions).await;
    for (asked, answer) in questions.iter().zip(&answers) {
        assert_eq!((asked.id, &asked.queries), (answer.id, &answer.queries), "in their order");
        assert_eq!(answer.answers.len(), 2);
    }
    let selector = fleet.selector.as_ref().unwrap();
    assert_eq!(selector.metric("kromka_dns_queries_total").await, 50.0);
}

#[tokio::test]
async fn a_flood_is_cut_short_and_a_cookie_or_tcp_gets_through() {
    let (fleet, resolver) = fleet(1, "rate = 5").await;
    let first = resolver.send(&with_cookie(question(NAME, RecordType::A), &[7; 8])).await.unwrap();
    let proof = cookie(&first).unwrap();
    let flood = (0..40).map(|_| async move { resolver.send(&question(NAME, RecordType::A)).await });
    let answers = futures_util::future::join_all(flood).await;
    let whole = answers.iter().flatten().filter(|answer| !answer.answers.is_empty()).count();
    let cut = answers.iter().flatten().filter(|answer| answer.truncation).count();
    assert!(whole < 40 && cut > 0 && whole + cut < 40, "{whole} whole, {cut} cut, of 40");
    for _ in 0..40 {
        let proven = resolver.send(&with_cookie(question(NAME, RecordType::A), &proof)).await.unwrap();
        assert_eq!(proven.answers.len(), 1, "who has proven his address is not limited");
    }
    assert_eq!(resolver.pipeline(&[question(NAME, RecordType::A)]).await[0].answers.len(), 1);
    let selector = fleet.selector.as_ref().unwrap();
    let limited = selector.metric("kromka_dns_limited_total").await;
    assert_eq!(limited as usize, 40 - whole);
}

#[tokio::test]
async fn up_answers_for_its_service_on_a_free_port() {
    let up = Up::start(&[]).await;
    let resolver = Resolver::new(up.text("/dns").parse().unwrap());
    let answer = resolver.ask("default.kromka.test", RecordType::A).await;
    let mut edges = addresses(&answer);
    edges.sort();
    assert_eq!(edges, ["127.0.0.1", "127.0.0.2"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap()));
    let over_tcp = resolver.pipeline(&[question("default.kromka.test", RecordType::A)]).await;
    assert_eq!(addresses(&over_tcp[0]), addresses(&answer));
    assert!(up.process.printed().contains("default.kromka.test"), "{}", up.process.printed());
}
