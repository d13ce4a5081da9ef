//! A player that knows its session and nothing else: it moves to an alternate when an edge fails it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::media;
use super::viewer::Viewer;

/// It plays one rendition of the sample, segment after segment.
pub(crate) struct Player {
    /// The master URL and its alternates, the one in use first.
    pub(crate) bases: Vec<Url>,
    /// How often it went on to an alternate.
    pub(crate) moves: usize,
    got: BTreeMap<usize, Bytes>,
    http: Viewer,
}

impl Player {
    /// Of a session as the control API answers it.
    pub(crate) fn new(session: &Value) -> Player {
        let alternates = session["alternates"].as_array().unwrap().iter();
        let urls = [&session["master_url"]].into_iter().chain(alternates);
        let bases = urls.map(|url| url.as_str().unwrap().parse().unwrap()).collect();
        Player { bases, moves: 0, got: BTreeMap::new(), http: Viewer::new() }
    }

    /// One that waits no longer for an edge than real players do, which then try elsewhere.
    pub(crate) fn impatient(session: &Value) -> Player {
        Player { http: Viewer::impatient(), ..Player::new(session) }
    }

    /// Fetches a segment, from an alternate if it must; that one fails it, too, is a failed scenario.
    pub(crate) async fn segment(&mut self, n: usize) {
        loop {
            let url = self.bases[0].join(&format!("360p/{n:03}.ts")).unwrap();
            let got = self.http.try_ask(reqwest::Method::GET, url.as_str(), &[]).await;
            if let Ok(got) = got
                && got.status == 200
                && let Ok(body) = got.body
            {
                self.got.insert(n, body);
                return;
            }
            assert!(self.bases.len() > 1, "segment {n}: no alternate is left");
            self.bases.remove(0);
            self.moves += 1;
        }
    }

    /// Every segment of the sample was played, byte for byte.
    #[track_caller]
    pub(crate) fn lost_nothing(&self) {
        assert_eq!(self.got.len(), 12, "segments: {:?}", self.got.keys());
        for (n, body) in &self.got {
            assert!(*body == media::file(&format!("/stream/demo/360p/{n:03}.ts")), "segment {n}");
        }
    }
}
