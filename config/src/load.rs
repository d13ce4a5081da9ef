//! From a file to a configuration: the only door to files and the environment.

use std::fmt;

/// What a file configures: its first key, `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `role = "edge"`.
    Edge,
    /// `role = "origin"`.
    Origin,
    /// `role = "selector"`.
    Selector,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Edge => "edge",
            Role::Origin => "origin",
            Role::Selector => "selector",
        })
    }
}
