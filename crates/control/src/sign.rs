//! A signed URL for one file or one prefix, without a session: `POST /v1/sign` → 201.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::validate::{Check, FieldError};

/// What to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    /// The service that publishes it.
    #[schema(min_length = 1, max_length = 256)]
    pub service: String,
    /// The file, or with `prefix` the start of all paths that the URL's token opens.
    #[schema(min_length = 1, max_length = 4096, pattern = "^(/|https?://)")]
    pub path: String,
    /// Whether `path` is a prefix.
    #[serde(default)]
    pub prefix: bool,
    /// How long the URL is good, seconds from now.
    #[schema(minimum = 1)]
    pub ttl_s: u64,
    /// Binds the URL to this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    pub client_ip: Option<IpAddr>,
    /// Offers the file as a download under this name; at most 256 characters, no path separators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub file_name: Option<String>,
}

/// The signed URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignAnswer {
    /// The URL, on the best edge.
    pub url: String,
    /// It is refused after this.
    pub expires_at: DateTime<Utc>,
}

impl SignRequest {
    /// Everything that is wrong with the request. The upper bound of `ttl_s` is the selector's config to check.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check::default();
        check.name("/service", &self.service);
        check.path("/path", &self.path);
        check.positive("/ttl_s", Some(self.ttl_s));
        if let Some(name) = &self.file_name {
            check.name("/file_name", name);
            if name.contains(['/', '\\']) {
                check.wrong("/file_name", "is a file's name, without a folder");
            }
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
    fn a_file_name_is_not_a_path() {
        let request: SignRequest = serde_json::from_value(json!({
            "service": "default", "path": "/a.mp4", "ttl_s": 60, "file_name": "../a.mp4"
        }))
        .unwrap();
        let errors = request.validate().unwrap_err();
        assert_eq!(errors[0].pointer, "/file_name");
    }

    #[test]
    fn a_bad_address_is_refused() {
        let text = json!({"service": "default", "path": "/a", "ttl_s": 60, "client_ip": "here"});
        assert!(serde_json::from_value::<SignRequest>(text).is_err());
    }
}
