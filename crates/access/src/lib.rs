//! Who may have what: session tokens, key sets, and the scopes of the control API.
//!
//! Everything here is pure: it gets data and `now` (unix seconds), it does no I/O, reads no clock and
//! never awaits. The parts in the order in which a viewer's request meets them:
//!
//! - the compact form: three parts, taken apart with every bound checked (`token.rs`);
//! - [`KeySet`]: which key a `kid` names and which one algorithm that key may be used with (`keys.rs`,
//!   `jwk.rs`);
//! - [`verify`]: structure, key, signature, claims, times; the costly step, once per token (`verify.rs`);
//! - [`Claims`]: what the token says (`claims.rs`), and [`Reach`]: which paths it opens (`uri.rs`);
//! - [`Session`]: a verified token; [`Session::permits`] is the cheap step, on every request (`session.rs`);
//! - [`Refusal`]: why not, in words a viewer may read (`refusal.rs`).
//!
//! The other direction: [`Signer`] makes tokens and publishes its public key (`signer.rs`).
//! For the control API: [`Scope`] (`scope.rs`) and [`ApiTokens`] (`api_token.rs`).
//!
//! `vectors.json` beside the manifest is the one truth for signers and verifiers in any language; a test
//! runs all of it, `cargo run -p kromka-access --example vectors` writes it anew.
//!
//! It must not know: HTTP, files, the environment, roles, playlists. No status code is chosen here.

mod api_token;
mod claims;
mod jwk;
mod keys;
mod refusal;
mod scope;
mod session;
mod signer;
mod token;
mod uri;
mod verify;

#[cfg(test)]
mod tests;

pub use api_token::{ApiTokens, Principal, constant_time_eq};
pub use claims::Claims;
pub use keys::{Algorithm, KeyError, KeySet, SECRET_MIN};
pub use refusal::Refusal;
pub use scope::{Scope, ScopeError};
pub use session::{Ask, Session};
pub use signer::Signer;
pub use token::TOKEN_MAX;
pub use uri::Reach;
pub use verify::{LEEWAY_S, claims_unverified, only, verify};
