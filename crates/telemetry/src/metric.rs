//! The kinds of numbers: thin handles, so that no other crate depends on the library behind them.
//!
//! A handle that could not be registered (a name used twice in different shapes, a wrong count of labels)
//! counts into nothing: the mistake is logged and caught by tests, and never stops a viewer's request.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec};

/// A number that only grows, such as requests answered. Cheap to clone; clones are the same number.
#[derive(Clone, Debug, Default)]
pub struct Counter(pub(crate) Option<IntCounter>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// Adds `n`.
    pub fn inc_by(&self, n: u64) {
        if let Some(counter) = &self.0 {
            counter.inc_by(n);
        }
    }

    /// Raises the counter to a total that is counted elsewhere; a lower total changes nothing. For hooks of
    /// [`Registry::on_scrape`](crate::Registry::on_scrape) that read foreign atomics; one hook per counter.
    pub fn raise_to(&self, total: u64) {
        self.inc_by(total.saturating_sub(self.get()));
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.as_ref().map_or(0, IntCounter::get)
    }
}

/// A number that goes up and down, such as open connections.
#[derive(Clone, Debug, Default)]
pub struct Gauge(pub(crate) Option<prometheus::Gauge>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        if let Some(gauge) = &self.0 {
            gauge.set(value);
        }
    }

    /// Adds, or with a negative number takes away.
    pub fn add(&self, value: f64) {
        if let Some(gauge) = &self.0 {
            gauge.add(value);
        }
    }

    /// The value now.
    pub fn get(&self) -> f64 {
        self.0.as_ref().map_or(0.0, prometheus::Gauge::get)
    }
}

/// How values spread, such as seconds to the first byte.
#[derive(Clone, Debug, Default)]
pub struct Histogram(pub(crate) Option<prometheus::Histogram>);

impl Histogram {
    /// Counts one value, in base units (seconds, bytes).
    pub fn observe(&self, value: f64) {
        if let Some(histogram) = &self.0 {
            histogram.observe(value);
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, prometheus::Histogram::get_sample_count)
    }
}

macro_rules! vec_of {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $one:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(pub(crate) Option<$inner>);

        impl $name {
            /// The one with these label values, in the order of the label names.
            ///
            /// Looks it up in a map: keep the handle where it is used for every request.
            pub fn with(&self, values: &[&str]) -> $one {
                let Some(all) = &self.0 else { return $one(None) };
                match all.get_metric_with_label_values(values) {
                    Ok(one) => $one(Some(one)),
                    Err(error) => {
                        let name = all.desc().first().map_or("?", |desc| desc.fq_name.as_str());
                        tracing::error!(metric = name, %error, "wrong label values; this is not counted");
                        $one(None)
                    }
                }
            }
        }
    };
}

vec_of!(
    /// Counters told apart by labels.
    CounterVec,
    IntCounterVec,
    Counter
);
vec_of!(
    /// Gauges told apart by labels.
    GaugeVec,
    prometheus::GaugeVec,
    Gauge
);

impl GaugeVec {
    /// No longer shows the one with these label values: what it told of is gone.
    pub fn forget(&self, values: &[&str]) {
        if let Some(all) = &self.0 {
            // That it was not shown is no fault.
            let _ = all.remove_label_values(values);
        }
    }
}

vec_of!(
    /// Histograms told apart by labels.
    HistogramVec,
    prometheus::HistogramVec,
    Histogram
);
