//! Reading what a backend asks for, with the place of everything that is wrong in it.

use kromka_control::SessionRequest;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::body::parse;
use crate::error::ApiError;

/// Sessions of one batch.
pub(crate) const BATCH_MAX: usize = 100;

/// Longest start deadline that may be asked for, in seconds.
pub(crate) const START_MAX_S: u64 = 86_400;

/// Up to 100 of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "the items are read one by one, so that each error has its place")]
pub(crate) struct SessionBatch {
    /// What is asked for each viewer.
    #[schema(value_type = Vec<SessionRequest>, min_items = 1, max_items = 100)]
    items: Vec<Value>,
}

/// Reads one request.
pub(crate) fn read_one(body: &[u8]) -> Result<SessionRequest, ApiError> {
    let wanted: SessionRequest = parse(body)?;
    wanted.validate().map_err(ApiError::Invalid)?;
    Ok(wanted)
}

/// Reads a batch; errors point into the item they are in.
pub(crate) fn read_batch(body: &[u8]) -> Result<Vec<SessionRequest>, ApiError> {
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
