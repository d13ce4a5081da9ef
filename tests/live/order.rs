//! A live stream is never seen going back, and is never lost: shields that lag, an encoder that starts anew.

use std::cell::Cell;
use std::time::Duration;

use super::encoder::{Place, Stream};
use crate::world::fleet::Plan;
use crate::world::player::numbers;
use crate::world::settings::{self, Additions, Places};
use crate::world::{Fleet, Role, Source, Viewer, until};

/// An edge before two shields: that of the fleet over one source, and a second one over a copy that may lag. So many
/// segments are fetched ahead.
pub(super) async fn two_shields(source: &Source, lagging: &Source, ahead: u32) -> (Fleet, Role) {
    let plan = Plan::web(&source.url).with("edge", "service", &format!("ahead = {ahead}"));
    let mut fleet = plan.with("origin", "service", "ahead = 0").prepare();
    let (places, place) = (Places::choose(), fleet.folder().join("shield-2"));
    let over = format!("{{ http = {:?} }}", lagging.url);
    let text = settings::origin("shield-2", &places, &place, None, &over, &Additions::new());
    let mut second = Role::new("origin", "shield-2", &places, &place, &text);
    let config = std::fs::read_to_string(fleet.edges[0].config()).unwrap();
    let both = config.replace(
        &format!("urls = [{:?}]", fleet.shield.url),
        &format!("urls = [{:?}, {:?}]", fleet.shield.url, second.url),
    );
    std::fs::write(fleet.edges[0].config(), both).unwrap();
    fleet.shield.start().await;
    second.start().await;
    fleet.edges[0].start().await;
    fleet.ready().await;
    (fleet, second)
}

#[tokio::test]
async fn a_viewer_never_goes_back_when_the_shield_that_was_ahead_dies() {
    let (ahead, lagging) = (Source::start().await, Source::start().await);
    // Long segments: what stays behind for three target durations would be taken for the stream.
    let stream = |first, end| Stream { target: 10, ..Stream::plain(first, end) };
    stream(5, 10).publish(&Place::Web(&ahead));
    // Its versions are numbered otherwise.
    stream(2, 7).publish(&Place::Web(&lagging));
    stream(3, 8).publish(&Place::Web(&lagging));
    let (mut fleet, mut second) = two_shields(&ahead, &lagging, 0).await;

    // Whichever of the two owns the stream: first only the one that is ahead is there.
    let url = fleet.signed(&stream(5, 10).path());
    let viewer = Viewer::new();
    second.kill();
    assert_eq!(numbers(viewer.get(&url).await.text()), (5, 10));
    second.start().await;
    second.ready().await;
    fleet.shield.kill();
    let last = Cell::new(10);
    let seen = Cell::new(0);
    until("the lagging copy was offered several times", || async {
        let got = viewer.get(&url).await;
        let (_, end) = numbers(got.text());
        assert!(end >= last.get(), "went back from {} to {end}", last.get());
        seen.set(seen.get() + 1);
        let refused = fleet.edges[0].metric("kromka_live_backwards_total").await;
        (refused >= 2.0).then_some(())
    })
    .await;
    assert!(seen.get() > 1);
    // It catches up, and then the stream goes on.
    stream(7, 12).publish(&Place::Web(&lagging));
    until("the stream goes on", || async {
        let (_, end) = numbers(viewer.get(&url).await.text());
        assert!(end >= last.replace(end), "went back to {end}");
        (end == 12).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_encoder_that_starts_anew_is_seen_soon_with_its_own_segments() {
    let source = Source::start().await;
    let old = Stream::plain(40, 44);
    old.publish(&Place::Web(&source));
    let fleet = Plan::web(&source.url).start().await;
    let viewer = Viewer::new();
    let url = fleet.signed(&old.path());
    assert_eq!(numbers(viewer.get(&url).await.text()), (40, 44));
    assert_eq!(viewer.get(&fleet.signed(&old.segment(40))).await.bytes(), old.bytes(40));

    // From the beginning, and with no date that would tell; it writes a name that was used before.
    let new = Stream { name: "t", ..Stream::plain(0, 2) };
    let end = Cell::new(2);
    until("the new stream is seen", || async {
        end.set(end.get() + 1);
        Stream { end: end.get(), ..new.clone() }.publish(&Place::Web(&source));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (first, _) = numbers(viewer.get(&url).await.text());
        (first == 0).then_some(())
    })
    .await;
    assert!(fleet.shield.metric("kromka_live_restarts_total").await >= 1.0);
    source.put(&old.segment(40), new.bytes(7));
    assert_eq!(viewer.get(&fleet.signed(&old.segment(40))).await.bytes(), new.bytes(7));
}

#[tokio::test]
async fn a_segment_that_its_playlist_names_is_asked_for_again_before_it_is_said_to_be_missing() {
    let source = Source::start().await;
    let stream = Stream::plain(5, 8);
    stream.publish(&Place::Web(&source));
    source.remove(&stream.segment(7));
    let fleet = Plan::web(&source.url).start().await;
    let viewer = Viewer::new();
    viewer.get(&fleet.signed(&stream.path())).await;
    let got = viewer.get(&fleet.signed(&stream.segment(7))).await;
    assert_eq!(got.status, 404);
    assert_eq!(source.asked_for(&stream.segment(7)), 2);
    // Not remembered for longer than a moment.
    source.put(&stream.segment(7), stream.bytes(7));
    until("it is there", || async {
        let got = viewer.get(&fleet.signed(&stream.segment(7))).await;
        (got.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_source_cannot_freeze_a_live_playlist() {
    let source = Source::start().await;
    let stream = Stream::plain(5, 8);
    stream.publish(&Place::Web(&source));
    source.cache_control(&stream.path(), "public, max-age=86400, immutable");
    let fleet = Plan::web(&source.url).start().await;
    let (viewer, url) = (Viewer::new(), fleet.signed(&stream.path()));
    assert_eq!(numbers(viewer.get(&url).await.text()), (5, 8));
    Stream::plain(6, 9).publish(&Place::Web(&source));
    until("the stream goes on", || async {
        (numbers(viewer.get(&url).await.text()) == (6, 9)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_segment_that_one_shield_lacks_though_its_playlist_names_it_comes_from_the_other() {
    // So many that some of them are sure to be the lagging shield's.
    let stream = Stream { target: 10, ..Stream::plain(5, 35) };
    let (whole, lagging) = (Source::start().await, Source::start().await);
    stream.publish(&Place::Web(&whole));
    // Its playlist is there, its segments are not yet.
    lagging.put(&stream.path(), stream.playlist());
    let (fleet, second) = two_shields(&whole, &lagging, 0).await;
    let viewer = Viewer::new();
    assert_eq!(numbers(viewer.get(&fleet.signed(&stream.path())).await.text()), (5, 35));
    for number in 5..35 {
        let got = viewer.get(&fleet.signed(&stream.segment(number))).await;
        assert_eq!((got.status, got.bytes()), (200, &stream.bytes(number)[..]), "{number}");
    }
    let lacked = (5..35).filter(|number| lagging.asked_for(&stream.segment(*number)) > 0).count();
    assert!(lacked > 0 && lacked < 30, "each shield has its share: {lacked}");
    // What no playlist names is nobody's: one shield's word is enough.
    let before = whole.asked().len() + lagging.asked().len();
    assert_eq!(viewer.get(&fleet.signed(&stream.segment(99))).await.status, 404);
    assert_eq!(whole.asked().len() + lagging.asked().len(), before + 1);
    drop(second);
}

#[tokio::test]
async fn a_live_playlist_that_stands_still_is_asked_for_each_second_until_it_goes_on() {
    let source = Source::start().await;
    let stream = Stream { target: 4, ..Stream::plain(5, 8) };
    stream.publish(&Place::Web(&source));
    let fleet = Plan::web(&source.url).start().await;
    let (viewer, url) = (Viewer::new(), fleet.signed(&stream.path()));
    let lifetime = async || {
        let got = viewer.get(&url).await;
        let says = got.header("cache-control");
        let seconds =
            says.split("max-age=").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
        (numbers(got.text()), seconds.unwrap_or_else(|| panic!("{says}")))
    };
    assert_eq!(lifetime().await, ((5, 8), 2), "half a target duration");
    // One and a half of them go by, and nothing comes.
    until("it is overdue", || async { (lifetime().await == ((5, 8), 1)).then_some(()) }).await;
    assert!(
        source.asked_for(&stream.path()) >= 3,
        "looked at in vain, and not frozen by what its source says"
    );
    Stream { target: 4, ..Stream::plain(6, 9) }.publish(&Place::Web(&source));
    until("it goes on", || async { (lifetime().await == ((6, 9), 2)).then_some(()) }).await;
}
