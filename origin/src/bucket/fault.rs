//! The store's errors in the tier's words. The store hides the HTTP status it saw, and that nobody was there; this file
//! finds both again, the latter as an error of the HTTP client below: reqwest has to be the store's own version here,
//! or it is not found, and a test of what does not answer fails (`tests.rs`).

use http::StatusCode;
use kromka_cache::{SourceError, SourceFault};
use object_store::client::{HttpError, HttpErrorKind};

/// Whether a ranged request may have failed because of its range: no transport trouble, no server error.
pub(super) fn unranged(error: &object_store::Error) -> bool {
    let object_store::Error::Generic { .. } = error else { return false };
    transport(error).is_none()
        && status(error).is_none_or(|status| status == StatusCode::RANGE_NOT_SATISFIABLE)
}

pub(super) fn fault(error: &object_store::Error) -> SourceError {
    use HttpErrorKind::{Connect, Timeout};
    use object_store::Error::{PermissionDenied, Unauthenticated};
    let (kind, remedy) = match (status(error), transport(error), error) {
        (_, _, PermissionDenied { .. } | Unauthenticated { .. }) => (
            SourceFault::Refused,
            "; check access_key and secret_key, and grant s3:ListBucket so that a missing object is a 404",
        ),
        (Some(StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS), ..) => {
            (SourceFault::Busy, "")
        }
        (Some(status), ..) if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
            (SourceFault::Refused, "")
        }
        (_, Some(Timeout), _) => (SourceFault::TimedOut, ""),
        (None, Some(Connect), _) => (SourceFault::Unreachable, ""),
        _ => (SourceFault::Broken, ""),
    };
    // A store does not say for how long: the tier's own rests grow until it is well.
    SourceError { kind, message: format!("the store: {}{remedy}", told(error)), retry_after: None }
}

/// What went wrong on the way. The store's crate calls a connection that did not come in time a timeout, as an answer
/// that did not.
fn transport(error: &object_store::Error) -> Option<HttpErrorKind> {
    let kind = chain(error).find_map(|link| link.downcast_ref::<HttpError>().map(HttpError::kind));
    let connecting = || chain(error).filter_map(|link| link.downcast_ref::<reqwest::Error>());
    kind.map(|kind| if connecting().any(reqwest::Error::is_connect) { HttpErrorKind::Connect } else { kind })
}

/// The HTTP status behind a failure. The type that holds it is private to the store's crate, its words are
/// the only door; `a_busy_bucket_is_busy` fails if they ever change.
fn status(error: &object_store::Error) -> Option<StatusCode> {
    chain(error).find_map(|link| {
        let words = link.to_string();
        let code = words.strip_prefix("Server returned non-2xx status code: ")?.get(..3)?;
        code.parse().ok()
    })
}

fn chain<'a>(error: &'a object_store::Error) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |link| link.source())
}

/// The error's first line, cut to a length that fits a log line: stores send whole XML documents.
fn told(error: &object_store::Error) -> String {
    let words = error.to_string();
    words.lines().next().unwrap_or_default().chars().take(300).collect()
}
