//! Content steering: the ways into an asset that a playlist names, and where players ask which to take.
//!
//! A pathway is an edge. The one that answers is the first; others are named by the steering document as
//! clones, which are the same URLs with another host. Only edges that no clone can name, because their port or
//! scheme differs, are written out in full, so that players that know nothing of steering see nothing twice.

use std::sync::Arc;

use arc_swap::ArcSwap;
use kromka_control::PeerEdge;
use kromka_hls::encode_path;
use kromka_hls::steering::{Pathway, Steering, pathway_id, steer};
use url::Url;

/// Pathways written out besides the own one; each makes the playlist longer by its variants.
const IN_FULL: usize = 2;

/// What this edge knows of the ways in.
pub(crate) struct Pathways {
    own: String,
    peers: ArcSwap<Vec<PeerEdge>>,
}

/// One viewer's playlist, as far as steering has to know it.
pub(crate) struct Steered<'a> {
    /// Where its steering document is.
    pub(crate) document: &'a Url,
    /// The asset: the playlist's path without token.
    pub(crate) asset: &'a str,
    /// The path as it was asked for, with the token.
    pub(crate) target: &'a str,
    /// The session, where there is one.
    pub(crate) session: Option<&'a str>,
    /// Whether it was asked for over TLS.
    pub(crate) tls: bool,
    /// Whether its content is known to have ended.
    pub(crate) ended: bool,
}

impl Pathways {
    pub(crate) fn new(id: &str, url: &Url, tls_url: Option<&Url>) -> Pathways {
        Pathways { own: pathway_id(id, url.as_str(), tls_url.map(Url::as_str)), peers: ArcSwap::default() }
    }

    /// A selector names edges that no clone can stand for.
    pub(crate) fn heard(&self, peers: &[PeerEdge]) {
        if self.peers.load().as_slice() != peers {
            self.peers.store(Arc::new(peers.to_vec()));
        }
    }

    /// The multivariant playlist `text` with its pathways; nothing where steering has no place.
    pub(crate) fn write(&self, text: &str, steered: &Steered<'_>) -> Option<String> {
        let peers = self.peers.load();
        let others: Vec<Pathway> =
            peers.iter().filter_map(|peer| in_full(peer, steered)).take(IN_FULL).collect();
        let mut server_uri = format!("{}?path={}", steered.document, encode_path(steered.asset));
        if let Some(session) = steered.session {
            server_uri.push_str("&sid=");
            server_uri.push_str(&encode_path(session));
        }
        // Which pathways a player has is known here alone: the document must name no other (AVPlayer would
        // drop it), and asking costs the selector no memory.
        server_uri.push_str("&in=");
        server_uri.push_str(&self.own);
        for other in &others {
            server_uri.push(',');
            server_uri.push_str(&other.id);
        }
        for (set, flag) in [(steered.tls, "&tls=1"), (steered.ended, "&vod=1")] {
            if set {
                server_uri.push_str(flag);
            }
        }
        let steering = Steering { server_uri: &server_uri, pathway: &self.own, others: &others };
        steer(text, &steering).ok().flatten()
    }
}

/// The playlist's own URL at another edge, in the scheme it was asked for here.
fn in_full(peer: &PeerEdge, steered: &Steered<'_>) -> Option<Pathway> {
    let url = if steered.tls { peer.tls_url.as_deref()? } else { &peer.url };
    let base = Url::parse(&format!("{}{}", url.trim_end_matches('/'), steered.target)).ok()?;
    Some(Pathway { id: pathway_id(&peer.id, &peer.url, peer.tls_url.as_deref()), base })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n360/index.m3u8\n";

    fn peer(id: &str, tls: bool) -> PeerEdge {
        let tls_url = tls.then(|| format!("https://{id}.example:8443/"));
        PeerEdge { id: id.to_owned(), url: format!("http://{id}.example:8080/"), tls_url }
    }

    fn written(pathways: &Pathways, tls: bool) -> String {
        let document = "https://s.example/steer/default".parse().unwrap();
        let target = "/~a.b.c/stream/master.m3u8";
        let asset = "/stream/master.m3u8";
        let steered = Steered { document: &document, asset, target, session: None, tls, ended: false };
        pathways.write(MASTER, &steered).unwrap()
    }

    #[test]
    fn edges_that_no_clone_can_name_are_written_out_with_the_token() {
        let own: Url = "http://e1.example/".parse().unwrap();
        let pathways = Pathways::new("e1", &own, None);
        assert_eq!(written(&pathways, false).matches("#EXT-X-STREAM-INF").count(), 1);
        pathways.heard(&[peer("e2", false), peer("e3", true), peer("e4", true)]);
        let plain = written(&pathways, false);
        assert!(plain.contains("\nhttp://e2.example:8080/~a.b.c/stream/360/index.m3u8\n"), "{plain}");
        assert!(plain.contains("\nhttp://e3.example:8080/~a.b.c/stream/360/index.m3u8\n"), "{plain}");
        assert!(!plain.contains("e4.example"), "two besides the own one");
        let listed = plain.split("&in=").nth(1).unwrap().split('"').next().unwrap();
        let ids: Vec<&str> = listed.split(',').collect();
        assert_eq!(ids.len(), 3);
        assert!(ids.iter().all(|id| plain.contains(&format!("PATHWAY-ID=\"{id}\""))));
        // Over TLS only those that speak it.
        let secure = written(&pathways, true);
        assert!(secure.contains("\nhttps://e4.example:8443/~a.b.c/stream/360/index.m3u8\n"), "{secure}");
        assert!(!secure.contains("e2.example") && secure.contains("&tls=1\""));
        pathways.heard(&[]);
        assert_eq!(written(&pathways, false).matches("#EXT-X-STREAM-INF").count(), 1);
    }
}
