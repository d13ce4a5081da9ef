//! Real clients against real roles. Each needs programs that tests/run installs, so they run when asked for.
//!
//! - `ffmpeg`: every rendition, packet by packet;
//! - `live`: ffmpeg makes a stream while another plays it, and hls.js; `packager` makes a low-latency one of it;
//! - `browsers`: Chromium with its own HLS, and hls.js over TLS and h2;
//! - `downloads`: curl resumes on another edge;
//! - `resolvers`: dig and kdig ask for names;
//! - `document`: requests made of the OpenAPI document, and of its opposite;
//! - `bucket`: an S3 server as the source, stopped in the middle of a fill.

mod browsers;
mod bucket;
mod document;
mod downloads;
mod ffmpeg;
mod live;
mod packager;
mod resolvers;
