//! The steering document, for HLS (RFC 8216bis, section 7.1) and DASH (ETSI TS 103 998) at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::pathway::is_pathway_id;

/// Longest document that is read, in bytes (256 KiB).
pub const MAX_MANIFEST: usize = 256 << 10;

/// Seconds between two looks where a document names none. Five minutes are long for whoever drains an edge,
/// so [`Manifest::to_json`] always names them.
pub const DEFAULT_TTL_S: u64 = 300;

/// Most pathways and clones that are read.
const MAX_PATHWAYS: usize = 256;

/// Which pathways to take, best first, until when, and where to ask again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `VERSION`; 1 is the only one there is.
    #[serde(rename = "VERSION")]
    pub version: u64,
    /// `TTL`: seconds until the player asks again.
    #[serde(rename = "TTL", default = "default_ttl", deserialize_with = "seconds")]
    pub ttl_s: u64,
    /// `RELOAD-URI`: where it asks then, relative to this document; the same place when left out.
    #[serde(rename = "RELOAD-URI", default, skip_serializing_if = "Option::is_none")]
    pub reload_uri: Option<String>,
    /// `PATHWAY-PRIORITY`: ids, best first. Each must stand in the playlist or among the clones: AVPlayer
    /// drops a document that names another (CoreMediaErrorDomain -15881).
    #[serde(rename = "PATHWAY-PRIORITY", default)]
    pub priority: Vec<String>,
    /// `SERVICE-LOCATION-PRIORITY`: the same for DASH players that know the older name only.
    #[serde(rename = "SERVICE-LOCATION-PRIORITY", default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<String>,
    /// `PATHWAY-CLONES`: pathways that the playlist does not list.
    #[serde(rename = "PATHWAY-CLONES", default, skip_serializing_if = "Vec::is_empty")]
    pub clones: Vec<PathwayClone>,
}

/// A pathway that is another one with changed URIs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathwayClone {
    /// `BASE-ID`: the pathway it is made from.
    #[serde(rename = "BASE-ID")]
    pub base: String,
    /// `ID`: its own; a player that knows this id already ignores the clone.
    #[serde(rename = "ID")]
    pub id: String,
    /// `URI-REPLACEMENT`: what is changed.
    #[serde(rename = "URI-REPLACEMENT")]
    pub uris: UriReplacement,
}

/// What a clone changes in URIs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UriReplacement {
    /// `HOST`: the host, and never its port.
    #[serde(rename = "HOST", default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `PARAMS`: query parameters to set.
    #[serde(rename = "PARAMS", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// `PER-VARIANT-URIS`: whole URIs by `STABLE-VARIANT-ID`.
    #[serde(rename = "PER-VARIANT-URIS", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, String>,
    /// `PER-RENDITION-URIS`: whole URIs by `STABLE-RENDITION-ID`.
    #[serde(rename = "PER-RENDITION-URIS", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renditions: BTreeMap<String, String>,
}

/// Why a text is no steering document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Longer than [`MAX_MANIFEST`].
    #[error("the steering document has {bytes} bytes; at most {MAX_MANIFEST} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON, or not of this shape.
    #[error("the steering document cannot be read: {0}")]
    Unreadable(String),
    /// Another version.
    #[error("the steering document has version {0}; 1 is known")]
    Version(u64),
    /// Nothing to choose from.
    #[error("the steering document names no pathway in PATHWAY-PRIORITY")]
    NoPathway,
    /// More pathways than anybody has edges.
    #[error("the steering document names more than {MAX_PATHWAYS} pathways")]
    TooMany,
    /// An id with other characters than letters, digits, `.`, `-` and `_`.
    #[error("`{0}` is no pathway id: letters, digits, '.', '-' and '_' are allowed")]
    BadId(String),
}

impl Manifest {
    /// The text, ready to be sent as `application/json`.
    pub fn to_json(&self) -> String {
        // Strings and numbers only: there is nothing in it that JSON could not say.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a document. Members that nobody here knows are passed over; a DASH document without
    /// `PATHWAY-PRIORITY` is read by its `SERVICE-LOCATION-PRIORITY`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_MANIFEST {
            return Err(ManifestError::TooLong { bytes: text.len() });
        }
        let mut read: Manifest =
            serde_json::from_str(text).map_err(|error| ManifestError::Unreadable(error.to_string()))?;
        if read.version != 1 {
            return Err(ManifestError::Version(read.version));
        }
        if read.priority.is_empty() {
            read.priority.clone_from(&read.locations);
        }
        if read.priority.is_empty() {
            return Err(ManifestError::NoPathway);
        }
        if read.priority.len().max(read.locations.len()).max(read.clones.len()) > MAX_PATHWAYS {
            return Err(ManifestError::TooMany);
        }
        let clones = read.clones.iter().flat_map(|clone| [&clone.base, &clone.id]);
        let mut ids = read.priority.iter().chain(&read.locations).chain(clones);
        if let Some(id) = ids.find(|id| !is_pathway_id(id)) {
            return Err(ManifestError::BadId(id.chars().take(64).collect()));
        }
        drop(ids);
        Ok(read)
    }
}

fn default_ttl() -> u64 {
    DEFAULT_TTL_S
}

/// Whole seconds; some servers write `10.0`.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    match seconds.is_finite() && (0.0..=1e9).contains(&seconds) {
        true => Ok(seconds.ceil() as u64),
        false => Err(serde::de::Error::custom("TTL is no length of time")),
    }
}

#[cfg(test)]
mod tests;
