//! Reading what a backend asks for: the common fields, and two that only the selector knows.

use kromka_control::SessionRequest;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::body::parse;
use crate::error::ApiError;

/// Sessions of one batch.
pub(crate) const BATCH_MAX: usize = 100;

/// Longest start deadline that may be asked for, in seconds.
pub(crate) const START_MAX_S: u64 = 86_400;

/// What a backend asks for one viewer.
#[derive(Clone, Debug)]
pub(crate) struct SessionWanted {
    /// The fields that every client knows.
    pub(crate) common: SessionRequest,
    /// How long playback may be started, seconds.
    pub(crate) start_ttl_s: Option<u64>,
    /// Whether the token is good from `client_ip` only.
    pub(crate) bind_ip: bool,
}

/// Up to 100 of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "the items are read one by one, so that each error has its place")]
pub(crate) struct SessionBatch {
    /// What is asked for each viewer.
    #[schema(value_type = Vec<SessionWanted>, min_items = 1, max_items = 100)]
    items: Vec<Value>,
}

/// The two fields beside the common ones.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct Own {
    /// How long playback may be started, seconds from now, at most a day; the configured time when left out.
    start_ttl_s: Option<u64>,
    /// Whether the token is good from `client_ip` only.
    bind_ip: bool,
}

const OWN_FIELDS: [&str; 2] = ["start_ttl_s", "bind_ip"];

impl PartialSchema for SessionWanted {
    fn schema() -> RefOr<Schema> {
        let mut common = SessionRequest::schema();
        if let (RefOr::T(Schema::Object(common)), RefOr::T(Schema::Object(own))) =
            (&mut common, Own::schema())
        {
            common.properties.extend(own.properties);
        }
        common
    }
}

impl ToSchema for SessionWanted {
    fn name() -> std::borrow::Cow<'static, str> {
        "SessionRequest".into()
    }
}

/// Reads one request.
pub(crate) fn read_one(body: &[u8]) -> Result<SessionWanted, ApiError> {
    let own: Own = parse(body)?;
    let mut members: Map<String, Value> = parse(body)?;
    let before = members.len();
    members.retain(|name, _| !OWN_FIELDS.contains(&name.as_str()));
    // Only when fields were taken out is the text written anew: else errors name the caller's lines and columns.
    let common: SessionRequest = match members.len() == before {
        true => parse(body)?,
        false => parse(&serde_json::to_vec(&members).unwrap_or_default())?,
    };
    if own.start_ttl_s == Some(0) {
        return Err(ApiError::field("/start_ttl_s", "must be at least 1"));
    }
    if own.bind_ip && common.client_ip.is_none() {
        return Err(ApiError::field("/bind_ip", "needs client_ip: there is no address to bind to"));
    }
    Ok(SessionWanted { common, start_ttl_s: own.start_ttl_s, bind_ip: own.bind_ip })
}

/// Reads a batch; errors point into the item they are in.
pub(crate) fn read_batch(body: &[u8]) -> Result<Vec<SessionWanted>, ApiError> {
    let batch: SessionBatch = parse(body)?;
    if !(1..=BATCH_MAX).contains(&batch.items.len()) {
        let message = format!("{} items; 1 to {BATCH_MAX} per request", batch.items.len());
        return Err(ApiError::field("/items", message));
    }
    let one = |(index, item): (usize, &Value)| {
        read_one(&serde_json::to_vec(item).unwrap_or_default())
            .map_err(|error| error.below(&format!("/items/{index}")))
    };
    batch.items.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn pointer_of<T>(outcome: Result<T, ApiError>) -> String {
        match outcome.map(drop) {
            Err(ApiError::Invalid(errors)) => errors[0].pointer.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_two_fields_stand_beside_the_common_ones() {
        let body = br#"{"service":"a","asset":"/m.m3u8","subject":"s","client_ip":"192.0.2.1","start_ttl_s":7,"bind_ip":true}"#;
        let wanted = read_one(body).unwrap();
        assert_eq!(
            (wanted.start_ttl_s, wanted.bind_ip, wanted.common.subject.as_str()),
            (Some(7), true, "s")
        );
        assert!(!read_one(br#"{"service":"a","asset":"/m","subject":"s"}"#).unwrap().bind_ip);
    }

    #[test]
    fn errors_name_their_place() {
        for (body, pointer) in [
            (r#"{"service":"a","asset":"/m","subject":"s","colour":1}"#, "/colour"),
            (r#"{"service":"a","asset":"/m","subject":"s","start_ttl_s":"x"}"#, "/start_ttl_s"),
            (r#"{"service":"a","asset":"/m","subject":"s","start_ttl_s":0}"#, "/start_ttl_s"),
            (r#"{"service":"a","asset":"/m","subject":"s","bind_ip":true}"#, "/bind_ip"),
            (r#"{"service":"a","asset":"/m","start_ttl_s":1}"#, "/subject"),
            (r#"{"service":"a","asset":1,"subject":"s","start_ttl_s":1}"#, "/asset"),
            ("[]", ""),
        ] {
            assert_eq!(pointer_of(read_one(body.as_bytes())), pointer, "{body}");
        }
        let batch = r#"{"items":[{"service":"a","asset":"/m","subject":"s"},{"service":"a","asset":"/m"}]}"#;
        assert_eq!(pointer_of(read_batch(batch.as_bytes())), "/items/1/subject");
        assert_eq!(pointer_of(read_batch(br#"{"items":[]}"#)), "/items");
    }
}
