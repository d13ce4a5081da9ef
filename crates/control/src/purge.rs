//! Take content back: `POST /v1/purge` → 202 with an [`Operation`](crate::Operation), a receipt per node.
//!
//! RFC 8007 calls the soft one *invalidate* and the hard one *purge*.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::validate::{Check, FieldError};

/// What happens to purged objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PurgeMode {
    /// Dropped: the next answer comes from the source.
    Hard,
    /// Marked stale: the next answer is revalidated with the source.
    Soft,
}

impl fmt::Display for PurgeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PurgeMode::Hard => "hard",
            PurgeMode::Soft => "soft",
        })
    }
}

/// What to purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// The service whose content is meant.
    #[schema(min_length = 1, max_length = 256)]
    pub service: String,
    /// What happens to the objects.
    pub mode: PurgeMode,
    /// Single objects; paths or URLs as a viewer would ask for them.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub urls: Vec<String>,
    /// All objects whose path begins so; `/` is the whole service.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub prefixes: Vec<String>,
    /// All objects that carry one of these tags (`Cache-Tag`, `Surrogate-Key`, or by a rule of the service).
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub tags: Vec<String>,
    /// Everything of the service; then nothing else is named.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

impl PurgeRequest {
    /// Everything that is wrong with the request.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        check.name("/service", &self.service);
        check.paths("/urls", &self.urls);
        check.paths("/prefixes", &self.prefixes);
        check.names("/tags", &self.tags);
        let named = !(self.urls.is_empty() && self.prefixes.is_empty() && self.tags.is_empty());
        if !named && !self.all {
            check.wrong(
                "",
                "nothing to purge: give at least one of urls, prefixes, tags, or \"all\": true for the whole service",
            );
        } else if named && self.all {
            check.wrong("/all", "is everything of the service: leave urls, prefixes and tags out");
        }
        check.done()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_purge_is_refused_and_says_how_to_purge_all() {
        let request: PurgeRequest =
            serde_json::from_value(json!({"service": "default", "mode": "hard"})).unwrap();
        let errors = request.validate().unwrap_err();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].message.contains("whole service"));
    }

    #[test]
    fn everything_is_said_in_so_many_words_and_alone() {
        let read = |text| serde_json::from_value::<PurgeRequest>(text).unwrap().validate();
        assert_eq!(read(json!({"service": "default", "mode": "soft", "all": true})), Ok(()));
        let both = read(json!({"service": "default", "mode": "soft", "all": true, "urls": ["/a"]}));
        assert_eq!(both.unwrap_err()[0].pointer, "/all");
        assert!(read(json!({"service": "default", "mode": "soft", "all": false})).is_err());
    }

    #[test]
    fn a_typo_is_named() {
        let text = json!({"service": "default", "mode": "hard", "url": ["/a"]});
        let error = serde_json::from_value::<PurgeRequest>(text).unwrap_err().to_string();
        assert!(error.contains("unknown field `url`"), "{error}");
        let text = json!({"service": "default", "mode": "gentle", "urls": ["/a"]});
        let error = serde_json::from_value::<PurgeRequest>(text).unwrap_err().to_string();
        assert!(error.contains("gentle") && error.contains("hard"), "{error}");
    }

    #[test]
    fn too_many_entries_are_refused_once() {
        let request = PurgeRequest {
            service: "default".into(),
            mode: PurgeMode::Soft,
            urls: vec!["bad".into(); crate::MAX_ENTRIES + 1],
            prefixes: vec![],
            tags: vec![],
            all: false,
        };
        let errors = request.validate().unwrap_err();
        assert_eq!(errors.len(), 1, "one error for the list, not one per entry");
        assert_eq!(errors[0].pointer, "/urls");
    }
}
