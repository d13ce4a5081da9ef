//! The decision, rendered for viewers.
//!
//! - [`route`]: a redirect, for players.
//! - [`select`]: a ranked list, for pages, SDKs and the curious.
//! - [`dns`]: addresses, for whoever asks by name.
//! - [`cors`]: the first two may be asked from any page.
//!
//! Each builds one question and renders one ranking; neither decides anything.

pub(crate) mod cors;
pub(crate) mod dns;
pub(crate) mod route;
pub(crate) mod select;
