//! dig (BIND) and kdig (Knot) ask the selector as an operator does, and understand every answer.

use std::process::Command;

use crate::world::command::run;
use crate::world::fleet::{NAME, Plan, ZONE};
use crate::world::{Fleet, Ran};

async fn fleet(lines: &str) -> Fleet {
    let reached = "tls_url = \"https://video.cdn.test:8443\"";
    Plan::sample().edges(3).with("edge", "node", reached).named(lines).start().await
}

/// Asks with one of the programs; what it prints must hold no complaint.
async fn ask(fleet: &Fleet, program: &str, words: &[&str]) -> String {
    let server = fleet.names();
    let mut command = Command::new(program);
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    command.args(["+norec", "+tries=1"].iter().filter(|_| program == "dig")).args(words);
    let ran: Ran = run(command).await;
    assert_eq!(ran.code, 0, "{program} {words:?}: {}", ran.everything());
    for bad in ["WARNING", ";; ERROR", "malformed", "mismatch", "extra bytes"] {
        assert!(!ran.everything().contains(bad), "{program} {words:?}: {}", ran.everything());
    }
    ran.stdout
}

#[tokio::test]
#[ignore = "needs dig and kdig, which tests/run installs"]
async fn both_read_every_kind_of_answer() {
    let fleet = fleet("").await;
    for program in ["dig", "kdig"] {
        for (words, expected) in [
            (vec![NAME, "A", "+short"], "192.0.2.1"),
            (vec![NAME, "AAAA", "+short"], "2001:db8::2"),
            (vec![NAME, "HTTPS", "+short"], "port=8443"),
            (vec![ZONE, "SOA", "+short"], "hostmaster.cdn.test."),
            (vec![ZONE, "NS"], "ns1.cdn.test."),
            (vec!["nothing.cdn.test", "A"], "NXDOMAIN"),
            (vec!["example.org", "A"], "REFUSED"),
            (vec![NAME, "ANY"], "RFC8482"),
            (vec![NAME, "A", "+tcp"], "192.0.2.3"),
        ] {
            let said = ask(&fleet, program, &words).await;
            assert!(said.contains(expected), "{program} {words:?}: {said}");
        }
    }
}

#[tokio::test]
#[ignore = "needs dig and kdig, which tests/run installs"]
async fn both_get_their_subnet_back_with_its_scope() {
    let fleet = fleet("").await;
    let said = ask(&fleet, "dig", &[NAME, "A", "+subnet=203.0.113.0/24"]).await;
    assert!(said.contains("CLIENT-SUBNET: 203.0.113.0/24/0"), "{said}");
    let said = ask(&fleet, "kdig", &[NAME, "AAAA", "+subnet=2001:db8:9::/48"]).await;
    assert!(said.contains("CLIENT-SUBNET: 2001:db8:9::/48/0"), "{said}");
}

#[tokio::test]
#[ignore = "needs dig and kdig, which tests/run installs"]
async fn dig_finds_the_cookie_good_and_comes_by_tcp_when_it_is_sent_there() {
    let fleet = fleet("rate = 1").await;
    let said = ask(&fleet, "dig", &[NAME, "A", "+cookie"]).await;
    assert!(said.contains("(good)"), "{said}");
    // The rate is used up: the next but one is truncated, and dig comes back by TCP.
    let mut over_tcp = 0;
    for _ in 0..4 {
        let mut command = Command::new("dig");
        let server = fleet.names();
        command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
        command.args(["+tries=2", "+timeout=1", "+nocookie", NAME, "A"]);
        let ran = run(command).await;
        over_tcp += usize::from(ran.stdout.contains("(TCP)") && ran.stdout.contains("192.0.2.1"));
    }
    assert!(over_tcp > 0);
}
