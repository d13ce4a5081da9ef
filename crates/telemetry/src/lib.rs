//! What a process says about itself: logs, metrics, health.
//!
//! - [`init_logs`] sends what `tracing` hears to stderr, as text or as JSON lines;
//! - [`Registry`] holds the numbers of one role; [`Counter`], [`Gauge`] and [`Histogram`] and their `Vec`s are
//!   how the crates write them (each crate keeps a struct of them that it is handed, never a global);
//! - [`RequestMeters`] and [`SourceMeters`] are what every role with a tier counts; [`RateMeter`] makes rates of
//!   such counts, for heartbeats; [`DiskTime`] and [`egress_bps`] are what the machine adds;
//! - [`Health`] collects what stands in the way of taking traffic;
//! - [`admin`] answers `/metrics`, `/healthz` and `/readyz` out of the two.
//!
//! This crate opens no socket and knows no role. prometheus is named only in `registry` and `metric`.

mod admin;
mod disk_time;
mod health;
mod logs;
mod metric;
mod nic;
mod pace;
mod rates;
mod registry;
mod requests;

pub use admin::admin;
pub use disk_time::DiskTime;
pub use health::Health;
pub use logs::{TelemetryError, init_logs};
pub use metric::{Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec};
pub use nic::egress_bps;
pub use pace::ServiceTime;
pub use rates::{RateMeter, Rates, Reading};
pub use registry::{LATENCY_BUCKETS, Registry};
pub use requests::{HIT, RequestMeters, ServiceMeters, SourceMeters};
