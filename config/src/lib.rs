//! Every setting of every role: typed, bounded, explained.
//!
//! In the order in which a file becomes a configuration:
//!
//! - [`load`](mod@load) is the only door to files and the environment; it picks the role and returns
//!   either a whole configuration or every error it could find;
//! - `reader` walks the parsed document table by table, key by key, and remembers where each one stands;
//!   `position` turns byte offsets into lines and columns, `nearest` guesses what a misspelt key meant,
//!   `error` is what the operator sees;
//! - `byte_size`, `span` and `secret` are the values that plain TOML does not have;
//! - `node`, `listen`, `limits`, `admin`, `log`, `cache`, `upstream`, `siblings`, `live`, `service`,
//!   `source`, `lifetimes`, `sessions`, `site`, `routing`, `dns`, `steering`, `checks`, `beacons`, `geo`, `probe` and
//!   `store` hold one table each: the struct,
//!   its defaults, its bounds;
//! - `edge`, `origin` and `selector` put the tables of one role together and check what spans several.
//!
//! This crate knows no socket, no runtime and no other crate of the project. Beside it stand the samples
//! `edge.toml`, `origin.toml` and `selector.toml`; a test keeps them complete and true.

mod admin;
mod beacons;
mod byte_size;
mod cache;
mod checks;
mod dns;
mod edge;
mod error;
mod geo;
mod lifetimes;
mod limits;
mod listen;
mod live;
pub mod load;
mod log;
mod nearest;
mod node;
mod origin;
mod position;
mod probe;
mod reader;
mod routing;
mod secret;
mod selector;
mod service;
mod sessions;
mod siblings;
mod site;
mod source;
mod span;
mod steering;
mod store;
mod tags;
mod upstream;

pub use admin::AdminConfig;
pub use beacons::BeaconsConfig;
pub use byte_size::ByteSize;
pub use cache::{Admission, CacheConfig, DiskConfig};
pub use checks::ChecksConfig;
pub use dns::{DnsConfig, DnsServer, DnsZoneConfig};
pub use edge::EdgeConfig;
pub use error::ConfigError;
pub use geo::GeoConfig;
pub use lifetimes::LifetimesConfig;
pub use limits::Limits;
pub use listen::{ListenConfig, TlsConfig};
pub use live::LiveConfig;
pub use load::{
    Role, check, load_edge, load_origin, load_selector, parse_edge, parse_origin, parse_selector,
};
pub use log::{LogConfig, LogFormat};
pub use node::{NodeConfig, SelectorRef};
pub use origin::OriginConfig;
pub use probe::ProbeConfig;
pub use routing::RoutingConfig;
pub use secret::Secret;
pub use selector::{ApiTokenConfig, SelectorConfig};
pub use service::{Access, Content, NamedSecret, OriginService, SelectorService, ServiceConfig, owns};
pub use sessions::SessionsConfig;
pub use siblings::SiblingsConfig;
pub use site::SiteConfig;
pub use source::{S3Source, SourceConfig};
pub use span::Span;
pub use steering::SteeringConfig;
pub use store::StoreConfig;
pub use tags::TagRule;
pub use upstream::UpstreamConfig;

#[cfg(test)]
mod samples;
