//! Content steering: one asset, several pathways to it, and a document that orders them.
//!
//! A pathway is an edge. Its id ([`pathway_id`]) names the edge and the address it has now, because players
//! keep what they know of an id: who moves an edge makes a new pathway.
//!
//! - `pathway`: ids, and the URLs that differ in their host alone;
//! - `rewrite`: a publisher's multivariant playlist with the pathways written into it ([`steer`]);
//! - `attributes`: where the attributes of a tag stand, for edits that leave the other bytes alone;
//! - `manifest`: the steering document itself ([`Manifest`]), HLS and DASH in one.
//!
//! The words are those of RFC 8216bis, sections 4.4.6.6 and 7 (draft-pantos-hls-rfc8216bis-18).

mod attributes;
mod manifest;
mod pathway;
mod rewrite;

pub use manifest::{DEFAULT_TTL_S, MAX_MANIFEST, Manifest, ManifestError, PathwayClone, UriReplacement};
pub use pathway::{Host, MAX_PATHWAY_ID, is_pathway_id, node_of, pathway_id};
pub use rewrite::{Pathway, Steering, is_multivariant, steer};
