//! The costly step: is this token genuine, and does it hold now?

use std::sync::Arc;

use crate::{Claims, KeySet, Reach, Refusal, Session, claims, token};

/// How far clocks may be apart, in seconds, for every time in a token.
pub const LEEWAY_S: i64 = 30;

/// Verifies a token at `now` (unix seconds): structure, algorithm, key, signature, claims, `exp` and `nbf`.
/// Whether it opens a path is [`Session::permits`]; a session may be kept by its token and asked again
/// instead of verifying twice, as long as [`KeySet::contains`] its `kid`.
///
/// # Errors
/// The first [`Refusal`] in that order. Nothing is decoded of a token over [`TOKEN_MAX`](crate::TOKEN_MAX),
/// and no claim is believed, reported or judged before the signature holds.
pub fn verify(token: &str, keys: &KeySet, now: i64) -> Result<Session, Refusal> {
    let parts = token::split(token)?;
    let (algorithm, kid) = parts.header.check()?;
    let key = keys.find(kid, algorithm, || claims::claimed_audience(&parts.payload))?;
    if !key.verifies(parts.signed, parts.signature) {
        return Err(Refusal::Signature);
    }
    let claims = Claims::from_json(&parts.payload)?;
    if !key.vouches_for(&claims.aud) {
        return Err(Refusal::Audience);
    }
    let reach: Reach = claims.cdniuc.parse()?;
    let session = Session::new(Arc::new(claims), kid.into(), reach);
    session.holds(now)?;
    Ok(session)
}

/// The one token of a request, out of all the places that may carry one. The same token in two places is one;
/// empty places do not count.
///
/// # Errors
/// [`Refusal::Missing`] if there is none, [`Refusal::Doubled`] if two differ.
pub fn only<'a>(found: impl IntoIterator<Item = &'a str>) -> Result<&'a str, Refusal> {
    let mut found = found.into_iter().filter(|token| !token.is_empty());
    let first = found.next().ok_or(Refusal::Missing)?;
    if found.all(|token| token == first) { Ok(first) } else { Err(Refusal::Doubled) }
}

/// What a token says, its header and its claims, **without** checking who signed it or when it ends: for a
/// person to read, never to decide by.
///
/// # Errors
/// [`Refusal`] if there is nothing sensible to show.
pub fn claims_unverified(token: &str) -> Result<(serde_json::Value, Claims), Refusal> {
    let parts = token::split(token)?;
    Ok((token::header_json(token)?, Claims::from_json(&parts.payload)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_token() {
        assert_eq!(only([]), Err(Refusal::Missing));
        assert_eq!(only(["", ""]), Err(Refusal::Missing));
        assert_eq!(only(["", "a", "a"]), Ok("a"));
        assert_eq!(only(["a", "b"]), Err(Refusal::Doubled));
    }
}
