//! A text that must not be seen: tokens, signing secrets, bucket keys.

use std::fmt;
use std::sync::Arc;

/// A secret text. It is written in a file as `"text"`, `{ file = "path" }` or `{ env = "NAME" }`.
///
/// `Debug` prints `***`, there is no `Display`, and no error of this crate quotes it: a configuration can be
/// logged whole. Clones share one allocation.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a text that is already at hand.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::from(text.into()))
    }

    /// The text itself. Every call is a place where it may leak, so keep them few.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
