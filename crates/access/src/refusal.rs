//! Why a token does not open a path.

/// Why a request is refused. The text names the cause and, where there is one, the remedy; it never repeats
/// the token, so it may be shown and logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request carries no token.
    #[error("no token: this service wants a signed URL")]
    Missing,
    /// The request carries more than one token and they differ.
    #[error("more than one token: a request carries exactly one")]
    Doubled,
    /// The token exceeds [`TOKEN_MAX`](crate::TOKEN_MAX); it was not looked at.
    #[error("the token is longer than {} bytes", crate::TOKEN_MAX)]
    TooLong,
    /// The token is not a JWT in compact form, or a claim has a form that it may not have.
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    /// The algorithm is `none`, unknown, or not the one that the key is bound to.
    #[error("the token's algorithm is not accepted for its key")]
    Algorithm,
    /// No key has the token's `kid`; it was never published here, or it is retired.
    #[error("the token was signed with a key that is not known here")]
    UnknownKey,
    /// The signature does not match: altered, cut short, or signed by someone else.
    #[error("the token's signature does not match")]
    Signature,
    /// The token has ended (`exp`).
    #[error("the token expired {by_s} s ago: ask for a new one")]
    Expired {
        /// Seconds since `exp`, leeway not deducted.
        by_s: i64,
    },
    /// The token has not begun (`nbf`).
    #[error("the token becomes valid in {in_s} s")]
    NotYet {
        /// Seconds until `nbf`, leeway not deducted.
        in_s: i64,
    },
    /// Playback was to begin before the start deadline (`kst`); what plays already goes on.
    #[error("the deadline to start playback passed {by_s} s ago: ask for a new session")]
    StartDeadline {
        /// Seconds since `kst`, leeway not deducted.
        by_s: i64,
    },
    /// The token opens other paths than this one (`cdniuc`).
    #[error("the token does not open this path")]
    Path,
    /// The token is for another service (`aud`).
    #[error("the token is for another service")]
    Audience,
    /// The token is bound to another address (`cdniip`), or the client's address is not known.
    #[error("the token is bound to another address")]
    Address,
    /// A claim or header field that must be there is not, or is empty.
    #[error("the token lacks `{0}`")]
    MissingClaim(&'static str),
    /// The token calls something critical (`cdnicrit`, `crit`, `cdniv`) that is not enforced here.
    #[error("the token demands `{0}`, which is not supported here")]
    CriticalClaim(String),
    /// `cdniuc` has a form other than `path:`.
    #[error("the token's URI container is not supported here: use `path:`")]
    Container,
}

impl Refusal {
    /// A short stable name, fit for a problem type, a metric label or a test vector.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Missing => "missing-token",
            Self::Doubled => "doubled-token",
            Self::TooLong => "token-too-long",
            Self::Malformed(_) => "malformed-token",
            Self::Algorithm => "wrong-algorithm",
            Self::UnknownKey => "unknown-key",
            Self::Signature => "bad-signature",
            Self::Expired { .. } => "expired",
            Self::NotYet { .. } => "not-yet-valid",
            Self::StartDeadline { .. } => "start-deadline",
            Self::Path => "wrong-path",
            Self::Audience => "wrong-audience",
            Self::Address => "wrong-address",
            Self::MissingClaim(_) => "missing-claim",
            Self::CriticalClaim(_) => "critical-claim",
            Self::Container => "unsupported-container",
        }
    }

    /// A critical name as refused: only what cannot hurt a log or a page is repeated.
    pub(crate) fn critical(name: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let shown = !name.is_empty() && name.len() <= 32 && name.chars().all(plain);
        Self::CriticalClaim(if shown { name.to_owned() } else { "an unknown claim".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_critical_name_is_shown_only_if_harmless() {
        assert_eq!(Refusal::critical("geo"), Refusal::CriticalClaim("geo".into()));
        for name in ["", "<b>", "a\nb", &"x".repeat(33)] {
            assert_eq!(Refusal::critical(name), Refusal::CriticalClaim("an unknown claim".into()));
        }
    }

    #[test]
    fn times_are_said_in_the_text() {
        assert!(Refusal::Expired { by_s: 77 }.to_string().contains("77 s ago"));
        assert!(Refusal::NotYet { in_s: 78 }.to_string().contains("in 78 s"));
        assert!(Refusal::StartDeadline { by_s: 79 }.to_string().contains("79 s ago"));
    }
}
