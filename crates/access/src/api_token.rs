//! Bearer tokens of the control API: opaque secrets, known here by their digest alone.

use aws_lc_rs::{constant_time, digest};

use crate::Scope;

/// Who a bearer token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's name in the config; it stands in the audit log.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

impl Principal {
    /// Whether it may do what `scope` guards.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// The table of bearer tokens. It keeps SHA-256 digests, never the secrets.
#[derive(Clone, Debug, Default)]
pub struct ApiTokens {
    entries: Vec<(Vec<u8>, Principal)>,
}

impl ApiTokens {
    /// An empty table: nobody is let in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token. An empty secret is kept out: it would let in an empty `Authorization` field.
    #[must_use]
    pub fn with(mut self, name: &str, secret: &str, scopes: Vec<Scope>) -> Self {
        if !secret.is_empty() {
            self.entries.push((sha256(secret), Principal { name: name.to_owned(), scopes }));
        }
        self
    }

    /// Whose token this is, if anyone's. Every entry is compared, so that the time taken does not tell which
    /// one came close.
    pub fn lookup(&self, bearer: &str) -> Option<&Principal> {
        let digest = sha256(bearer);
        let mut found = None;
        for (known, principal) in &self.entries {
            if constant_time_eq(known, &digest) {
                found = Some(principal);
            }
        }
        found
    }

    /// How many tokens the table holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Compares two secrets in a time that depends on their lengths only.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_bearer_finds_its_own_principal_and_no_other() {
        let table = ApiTokens::new().with("backend", "first-secret", vec![Scope::SessionsWrite]).with(
            "operator",
            "second-secret",
            vec![Scope::Read, Scope::NodesWrite],
        );
        let operator = table.lookup("second-secret").unwrap();
        assert_eq!(operator.name, "operator");
        assert!(operator.allows(Scope::NodesWrite));
        assert!(!operator.allows(Scope::SessionsWrite));
        for bearer in ["", "first-secre", "first-secret ", "FIRST-SECRET"] {
            assert_eq!(table.lookup(bearer), None, "{bearer:?}");
        }
    }

    #[test]
    fn an_empty_secret_lets_nobody_in() {
        let table = ApiTokens::new().with("mistake", "", vec![Scope::Read]);
        assert!(table.is_empty());
        assert_eq!(table.lookup(""), None);
    }

    #[test]
    fn the_table_does_not_show_secrets() {
        let table = ApiTokens::new().with("backend", "hush-hush", vec![]);
        assert!(!format!("{table:?}").contains("hush-hush"));
    }

    #[test]
    fn equality_is_of_all_bytes() {
        assert!(constant_time_eq(b"abc", b"abc"));
        assert!(!constant_time_eq(b"abc", b"abd"));
        assert!(!constant_time_eq(b"abc", b"abcd"));
    }
}
