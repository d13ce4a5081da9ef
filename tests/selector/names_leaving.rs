//! Edges that leave: from when on DNS no longer answers with them.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::json;

use crate::world::fleet::{NAME, Plan};
use crate::world::resolver::addresses;
use crate::world::settings::addresses_of;
use crate::world::{Resolver, until};

/// How many of the next answers name an address.
async fn naming(resolver: &Resolver, address: IpAddr, count: usize) -> usize {
    let mut naming = 0;
    for n in 0..count {
        let answer = resolver.ask(&format!("s{n}.{NAME}"), RecordType::A).await;
        assert!(!answer.answers.is_empty(), "{answer:?}");
        naming += usize::from(addresses(&answer).contains(&address));
    }
    naming
}

#[tokio::test]
async fn a_drained_edge_is_in_no_answer_from_that_moment_and_comes_back() {
    let fleet = Plan::sample().edges(3).named("rate = 0").start().await;
    let (operator, resolver) = (fleet.operator(), fleet.resolver());
    let drained = &fleet.edges[1].id;
    let address = addresses_of(drained)[0];
    assert_eq!(naming(&resolver, address, 50).await, 50, "the test's premise");
    let got = operator.post(&format!("/v1/nodes/{drained}:drain"), json!({})).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(naming(&resolver, address, 300).await, 0);
    let got = operator.post(&format!("/v1/nodes/{drained}:resume"), json!({})).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(naming(&resolver, address, 50).await, 50);
}

#[tokio::test]
async fn an_edge_that_stops_in_order_is_in_no_answer_any_more() {
    let mut fleet = Plan::sample().edges(3).named("rate = 0").start().await;
    let resolver = fleet.resolver();
    let address = addresses_of(&fleet.edges[0].id)[0];
    assert!(fleet.edges[0].stop().await.success());
    assert_eq!(naming(&resolver, address, 300).await, 0);
}

#[tokio::test]
async fn a_killed_edge_is_in_no_answer_after_a_second_and_a_half() {
    let mut fleet = Plan::sample().edges(3).named("rate = 0").start().await;
    let resolver = fleet.resolver();
    let address = addresses_of(&fleet.edges[2].id)[0];
    assert_eq!(naming(&resolver, address, 20).await, 20, "the test's premise");
    fleet.edges[2].kill();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(naming(&resolver, address, 300).await, 0);
}

#[tokio::test]
async fn without_any_edge_a_name_fails_and_does_not_vanish() {
    let mut fleet = Plan::sample().edges(1).named("rate = 0").start().await;
    let resolver = fleet.resolver();
    assert!(fleet.edges[0].stop().await.success());
    let answer = until("an answer without edges", || async {
        let answer = resolver.ask(NAME, RecordType::A).await;
        answer.answers.is_empty().then_some(answer)
    })
    .await;
    assert_eq!((answer.response_code, answer.authorities.len()), (ResponseCode::ServFail, 0));
    fleet.edges[0].start().await;
    until("the edge is back", || async {
        let answer = resolver.ask(NAME, RecordType::A).await;
        (addresses(&answer) == [addresses_of("edge-1")[0]]).then_some(())
    })
    .await;
}
