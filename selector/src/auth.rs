//! Who asks, and what they may do.

use http::{HeaderMap, header::AUTHORIZATION};
use kromka_access::{ApiTokens, Principal, Scope, constant_time_eq};
use kromka_config::{ApiTokenConfig, Secret};

use crate::error::{ApiError, StartError};

/// The bearer tokens of a selector: one per caller of the API, and one that all nodes share.
#[derive(Clone)]
pub(crate) struct Gatekeeper {
    callers: ApiTokens,
    node_token: Secret,
}

impl Gatekeeper {
    /// Reads the callers of the configuration.
    ///
    /// # Errors
    /// When a scope is none.
    pub(crate) fn new(callers: &[ApiTokenConfig], node_token: &Secret) -> Result<Gatekeeper, StartError> {
        let mut table = ApiTokens::new();
        for caller in callers {
            let scopes: Result<Vec<Scope>, _> = caller.scopes.iter().map(|scope| scope.parse()).collect();
            let scopes =
                scopes.map_err(|error| StartError::Config(format!("token {}: {error}", caller.name)))?;
            table = table.with(&caller.name, caller.secret.expose(), scopes);
        }
        Ok(Gatekeeper { callers: table, node_token: node_token.clone() })
    }

    /// The caller of a request, if it may do what `scope` guards.
    pub(crate) fn caller(&self, headers: &HeaderMap, scope: Scope) -> Result<&Principal, ApiError> {
        let caller =
            bearer(headers).and_then(|token| self.callers.lookup(token)).ok_or(ApiError::Unauthorized)?;
        if caller.allows(scope) { Ok(caller) } else { Err(ApiError::Forbidden(scope)) }
    }

    /// Whether a request comes from a node.
    pub(crate) fn node(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let token = bearer(headers).ok_or(ApiError::Unauthorized)?;
        let known = constant_time_eq(token.as_bytes(), self.node_token.expose().as_bytes());
        if known { Ok(()) } else { Err(ApiError::Unauthorized) }
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750); the scheme's name is case-insensitive (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn gatekeeper() -> Gatekeeper {
        let caller = ApiTokenConfig {
            name: "backend".into(),
            secret: Secret::new("backend-token-0001"),
            scopes: vec!["sessions:write".into()],
        };
        Gatekeeper::new(&[caller], &Secret::new("node-token-000001")).unwrap()
    }

    fn with(value: &str) -> HeaderMap {
        [(AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_caller_may_do_what_its_scopes_say_and_nothing_else() {
        let gate = gatekeeper();
        let known = with("bearer backend-token-0001");
        assert_eq!(gate.caller(&known, Scope::SessionsWrite).unwrap().name, "backend");
        assert!(matches!(gate.caller(&known, Scope::Read), Err(ApiError::Forbidden(Scope::Read))));
        for unknown in ["Bearer backend-token-0002", "Basic backend-token-0001", "Bearer", "Bearer ", ""] {
            let outcome = gate.caller(&with(unknown), Scope::SessionsWrite);
            assert!(matches!(outcome, Err(ApiError::Unauthorized)), "{unknown:?}");
        }
    }

    #[test]
    fn nodes_and_callers_are_not_taken_for_one_another() {
        let gate = gatekeeper();
        assert!(gate.node(&with("Bearer node-token-000001")).is_ok());
        assert!(gate.node(&with("Bearer backend-token-0001")).is_err());
        assert!(gate.caller(&with("Bearer node-token-000001"), Scope::Read).is_err());
    }

    #[test]
    fn a_scope_that_is_none_stops_the_start() {
        let caller =
            ApiTokenConfig { name: "x".into(), secret: Secret::new("y"), scopes: vec!["admin".into()] };
        assert!(Gatekeeper::new(&[caller], &Secret::new("z")).is_err());
    }
}
