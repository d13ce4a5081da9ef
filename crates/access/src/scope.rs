//! What a bearer of the control API may do.

use std::fmt;
use std::str::FromStr;

/// One permission of a control API token. None implies another: a caller that writes and reads needs both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Scope {
    /// `sessions:write`: create playback sessions, sign URLs, revoke.
    SessionsWrite,
    /// `content:write`: pre-warm, register and change content and services.
    ContentWrite,
    /// `purge:write`: purge.
    PurgeWrite,
    /// `nodes:write`: drain, resume and join nodes, rotate keys.
    NodesWrite,
    /// `read`: read everything that the API shows.
    Read,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 5] =
        [Self::SessionsWrite, Self::ContentWrite, Self::PurgeWrite, Self::NodesWrite, Self::Read];

    /// The scope's name as configs and documents spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionsWrite => "sessions:write",
            Self::ContentWrite => "content:write",
            Self::PurgeWrite => "purge:write",
            Self::NodesWrite => "nodes:write",
            Self::Read => "read",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| ScopeError { name: text.to_owned() })
    }
}

/// A name that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{name}`; allowed: sessions:write, content:write, purge:write, nodes:write, read")]
pub struct ScopeError {
    /// The name as it was written.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_the_error_lists_them_all() {
        let error = "admin".parse::<Scope>().map_err(|error| error.to_string());
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
            assert!(error.as_ref().is_err_and(|text| text.contains(scope.as_str())));
        }
        assert!("Read".parse::<Scope>().is_err());
    }
}
