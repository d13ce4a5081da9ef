//! Whether something may be stored, and served: the standard's rules, pure, with `now` given.
//!
//! `cache_control` reads the directives (RFC 9111, 9213, 5861), `freshness` says from them what an answer may
//! be used for and how long, `clock` gives the `now`, which never runs backwards; `way` is how an answer was
//! come by, and how that is told (RFC 9211).

pub(crate) mod cache_control;
pub(crate) mod clock;
pub(crate) mod freshness;
pub(crate) mod way;
