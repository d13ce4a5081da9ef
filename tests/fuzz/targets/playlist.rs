//! Playlists of publishers: they are read or refused, and what is made of them is a playlist again, with what the
//! publisher wrote in it.
#![no_main]

use kromka_hls::steering::{Manifest, Pathway, Steering, steer};
use kromka_hls::{Lifetimes, Listing, Playlist, delta, filter, parse, playlist_lifetime, step};
use url::Url;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Manifest::parse(text);
    let read = parse(text);
    steered(text, read.is_ok());
    let Ok(playlist) = read else { return };
    for child in playlist.children("/a/b.m3u8") {
        assert!(child.starts_with('/') && !child.split('/').any(|segment| segment == ".."), "{child}");
    }
    let _ = playlist_lifetime(&playlist, &Lifetimes::default());
    match playlist {
        Playlist::Media(media) => {
            let listing = Listing::new(&media, "/a/b.m3u8");
            for folder in 0..listing.folders().len().min(3) {
                let _ = listing.after(&media, folder, 3);
            }
            let _ = step(&media, &media);
            if let Ok(Some(shorter)) = delta(text) {
                let Ok(Playlist::Media(left)) = parse(&shorter) else { panic!("{shorter}") };
                assert_eq!(left.position(), media.position(), "{shorter}");
            }
        }
        Playlist::Multivariant(_) => {
            if let Ok(less) = filter(text, Some(480), Some(1_000_000)) {
                assert!(parse(&less).is_ok(), "{less}");
            }
        }
    }
});

/// With another edge written into it, it begins with what it is without, and can be read.
fn steered(text: &str, readable: bool) {
    let Ok(base) = Url::parse("https://e2.example:8443/~t/a/b.m3u8") else { return };
    let others = [Pathway { id: "e2".into(), base }];
    let steering = Steering { server_uri: "https://s.example/~steer", pathway: "e1", others: &others };
    let Ok(Some(whole)) = steer(text, &steering) else { return };
    assert!(readable && parse(&whole).is_ok(), "{whole}");
    let alone = steer(text, &Steering { others: &[], ..steering });
    assert!(matches!(alone, Ok(Some(alone)) if whole.starts_with(&alone)), "{whole}");
}
