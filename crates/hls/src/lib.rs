//! Pure HLS knowledge: request paths, playlists, lifetimes, steering documents.
//!
//! The parts, in the order a request meets them:
//!
//! - [`path`]: what a request target names. The token is taken off, the path is decoded once and
//!   either clean or refused; the same file writes paths for URLs upstream.
//! - [`mod@kind`]: what a file is, judged by its name alone, and the media type to send with it.
//! - `line`: a playlist's text as numbered lines with their byte spans; the header and the bounds.
//! - [`playlist`]: those lines as a multivariant or a media playlist, or an error that names the line.
//! - [`children`]: what a playlist refers to on its own origin, for warming a whole tree.
//! - [`upcoming`]: what stands in a media playlist under which path, and what comes after it;
//!   [`cmcd`]: what a player says it will ask for next.
//! - [`lifetime`]: for how long an answer may be kept, from the playlist's own words.
//! - [`succession`]: whether one version of a live playlist may follow another.
//! - [`position`]: how far a live playlist has come, and what a blocked reload waits for;
//!   [`mod@delta`]: the playlist without what its reader has already.
//! - [`mod@filter`]: a multivariant playlist without the variants that a viewer's plan leaves out.
//! - [`steering`]: a multivariant playlist that may be played from several edges, and the document that
//!   says from which one now.
//!
//! Nothing here does I/O, reads a clock, awaits or knows a role; nothing here judges a token.
//! Input comes from strangers: it is bounded ([`path::MAX_PATH`], [`playlist::MAX_TEXT`],
//! [`playlist::MAX_URIS`]) and no text of any kind makes these functions panic.

pub mod children;
pub mod cmcd;
pub mod delta;
pub mod filter;
pub mod kind;
pub mod lifetime;
mod line;
pub mod path;
pub mod playlist;
pub mod position;
pub mod steering;
pub mod succession;
pub mod upcoming;

pub use children::{Child, resolve};
pub use cmcd::{NextRequest, next_request};
pub use delta::delta;
pub use filter::filter;
pub use kind::{Kind, content_type, kind};
pub use lifetime::{Lifetime, Lifetimes, media_lifetime, object_lifetime, playlist_lifetime};
pub use path::{PathError, RequestPath, encode_path, split, split_plain};
pub use playlist::{
    Hint, LowLatency, Media, Multivariant, PartRef, Playlist, PlaylistError, Rendition, RenditionKind,
    SegmentRef, Variant, parse,
};
pub use position::{DirectiveError, Directives, Position, Wanted};
pub use succession::{Doubt, Step, step};
pub use upcoming::{Listed, Listing};
