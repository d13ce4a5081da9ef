//! The numbers of one role, and how they are written for Prometheus.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, TextEncoder};

use crate::metric::{Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec};

/// Buckets for waiting times in seconds: from a memory hit (under a millisecond) to the longest first byte
/// that a viewer waits for.
pub const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type Hook = Box<dyn Fn() + Send + Sync>;

/// All numbers of one role; a clone is another handle to the same ones.
///
/// Names follow the conventions: prefix `kromka_`, base units, `_total` for counters; labels of low
/// cardinality only, never a path, an address or a token.
#[derive(Clone)]
pub struct Registry {
    inner: prometheus::Registry,
    common: Arc<Vec<&'static str>>,
    hooks: Arc<Mutex<Vec<Arc<Hook>>>>,
}

impl Registry {
    /// A registry with `kromka_build_info{version,revision,role}` and `process_*`.
    ///
    /// `node` and `site` become labels of every series where they are not empty. A role whose own metrics
    /// are about nodes (the selector) leaves them empty and is free to use the names itself.
    pub fn new(role: &str, node: &str, site: &str) -> Self {
        let mut labels = HashMap::new();
        let mut common = Vec::new();
        for (name, value) in [("node", node), ("site", site)] {
            if !value.is_empty() {
                labels.insert(name.to_owned(), value.to_owned());
                common.push(name);
            }
        }
        // Refused only for an empty prefix, and none is given.
        let inner = prometheus::Registry::new_custom(None, Some(labels)).unwrap_or_default();
        let registry = Self { inner, common: Arc::new(common), hooks: Arc::default() };
        registry.build_info(role);
        if let Err(error) = registry.inner.register(Box::new(ProcessCollector::for_self())) {
            tracing::error!(%error, "the process metrics are missing");
        }
        registry
    }

    /// A counter. The same name again gives a handle that counts into nothing, and an error in the log.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        Counter(self.add(name, IntCounter::new(name, help)))
    }

    /// Counters told apart by `labels`.
    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        CounterVec(
            self.add(
                name,
                self.free(labels).and_then(|()| IntCounterVec::new(Opts::new(name, help), labels)),
            ),
        )
    }

    /// A gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        Gauge(self.add(name, prometheus::Gauge::new(name, help)))
    }

    /// Gauges told apart by `labels`.
    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        let made = self.free(labels).and_then(|()| prometheus::GaugeVec::new(Opts::new(name, help), labels));
        GaugeVec(self.add(name, made))
    }

    /// A histogram with these upper bounds, ascending; [`LATENCY_BUCKETS`] suits most waits.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        Histogram(self.add(name, prometheus::Histogram::with_opts(options)))
    }

    /// Histograms told apart by `labels`.
    pub fn histogram_vec(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let made = self.free(labels).and_then(|()| prometheus::HistogramVec::new(options, labels));
        HistogramVec(self.add(name, made))
    }

    /// Runs `hook` before each scrape, for numbers that are kept elsewhere. It must not block.
    pub fn on_scrape(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.hooks.lock().push(Arc::new(hook));
    }

    /// Shows numbers that are kept elsewhere: `read` gives names, helps and values, always of the same numbers
    /// in the same order. It must not block. A name that ends in `_total` is a counter, any other a gauge.
    pub fn mirror(&self, read: impl Fn() -> Vec<(&'static str, &'static str, u64)> + Send + Sync + 'static) {
        type Show = Box<dyn Fn(u64) + Send + Sync>;
        let show = |(name, help, _): (&'static str, _, _)| -> Show {
            if name.ends_with("_total") {
                let counter = self.counter(name, help);
                Box::new(move |value| counter.raise_to(value))
            } else {
                let gauge = self.gauge(name, help);
                Box::new(move |value| gauge.set(value as f64))
            }
        };
        let shown: Vec<Show> = read().into_iter().map(show).collect();
        self.on_scrape(Box::new(move || {
            shown.iter().zip(read()).for_each(|(show, (_, _, value))| show(value));
        }));
    }

    /// The same for counters told apart by one label: `read` gives the label's values and their totals.
    pub fn mirror_by<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        read: impl Fn() -> [(&'static str, u64); N] + Send + Sync + 'static,
    ) {
        let all = self.counter_vec(name, help, &[label]);
        self.on_scrape(Box::new(move || {
            read().iter().for_each(|(value, total)| all.with(&[value]).raise_to(*total));
        }));
    }

    /// The same for a number of each of several things, told apart by `label`: 0, 1 and so on.
    pub fn mirror_numbered(
        &self,
        name: &str,
        help: &str,
        label: &str,
        read: impl Fn() -> Vec<u64> + Send + Sync + 'static,
    ) {
        type Show = Box<dyn Fn(&str, u64) + Send + Sync>;
        let show: Show = if name.ends_with("_total") {
            let counters = self.counter_vec(name, help, &[label]);
            Box::new(move |number, value| counters.with(&[number]).raise_to(value))
        } else {
            let gauges = self.gauge_vec(name, help, &[label]);
            Box::new(move |number, value| gauges.with(&[number]).set(value as f64))
        };
        self.on_scrape(Box::new(move || {
            read().into_iter().enumerate().for_each(|(number, value)| show(&number.to_string(), value));
        }));
    }

    /// All numbers in the text format of Prometheus (version 0.0.4).
    pub fn render(&self) -> String {
        // A hook may take its time or register something: not under the lock.
        let hooks = self.hooks.lock().clone();
        for hook in hooks {
            hook();
        }
        TextEncoder::new().encode_to_string(&self.inner.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics cannot be written");
            String::new()
        })
    }

    fn build_info(&self, role: &str) {
        let revision = option_env!("KROMKA_REVISION").unwrap_or("unknown");
        let options = Opts::new("kromka_build_info", "What runs here; the value is always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("revision", revision)
            .const_label("role", role);
        if let Some(info) = self.add("kromka_build_info", IntGauge::with_opts(options)) {
            info.set(1);
        }
    }

    /// Refuses labels that every series carries already: a label twice is no valid exposition.
    fn free(&self, labels: &[&str]) -> prometheus::Result<()> {
        match labels.iter().find(|label| self.common.contains(label)) {
            Some(label) => {
                Err(prometheus::Error::Msg(format!("the label {label} is set for the whole registry")))
            }
            None => Ok(()),
        }
    }

    fn add<C: Collector + Clone + 'static>(&self, name: &str, made: prometheus::Result<C>) -> Option<C> {
        let added = made.and_then(|metric| self.inner.register(Box::new(metric.clone())).map(|()| metric));
        added
            .inspect_err(|error| tracing::error!(metric = name, %error, "not registered; it is not counted"))
            .ok()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("common", &self.common).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn line<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in\n{text}"))
    }

    #[test]
    fn every_series_names_node_and_site() {
        let registry = Registry::new("edge", "edge-1", "prague");
        registry.counter_vec("kromka_requests_total", "Requests.", &["proto"]).with(&["h2"]).inc_by(3);
        let text = registry.render();
        let requests = line(&text, "kromka_requests_total{");
        for part in [r#"node="edge-1""#, r#"site="prague""#, r#"proto="h2""#, " 3"] {
            assert!(requests.contains(part), "{requests}");
        }
        let info = line(&text, "kromka_build_info{");
        assert!(info.contains(r#"role="edge""#) && info.contains(env!("CARGO_PKG_VERSION")), "{info}");
        assert!(text.contains("\n# TYPE kromka_requests_total counter\n"));
        line(&text, "process_resident_memory_bytes{");
    }

    #[test]
    fn a_label_never_stands_twice_on_a_series() {
        let edge = Registry::new("edge", "edge-1", "");
        edge.gauge_vec("kromka_node_up", "Nodes.", &["node"]).with(&["x"]).set(1.0);
        assert!(!edge.render().contains("kromka_node_up"));
        let selector = Registry::new("selector", "", "");
        selector.gauge_vec("kromka_node_up", "Nodes.", &["node"]).with(&["x"]).set(1.0);
        assert_eq!(line(&selector.render(), "kromka_node_up"), r#"kromka_node_up{node="x"} 1"#);
    }

    #[test]
    fn mistakes_count_into_nothing_and_break_nothing() {
        let registry = Registry::new("edge", "", "");
        let first = registry.counter("kromka_a_total", "A.");
        let second = registry.counter("kromka_a_total", "A.");
        first.inc();
        second.inc();
        assert_eq!((first.get(), second.get()), (1, 0));
        registry.counter("not a name", "B.").inc();
        registry.counter_vec("kromka_c_total", "C.", &["x"]).with(&["1", "2"]).inc();
        assert!(registry.render().contains("kromka_a_total 1"));
    }

    #[test]
    fn hooks_bring_in_numbers_from_elsewhere() {
        let registry = Registry::new("edge", "", "");
        let total = Arc::new(AtomicU64::new(7));
        let counter = registry.counter("kromka_sent_bytes_total", "Bytes.");
        let source = Arc::clone(&total);
        let handle = counter.clone();
        registry.on_scrape(Box::new(move || handle.raise_to(source.load(Ordering::Relaxed))));
        assert!(registry.render().contains("kromka_sent_bytes_total 7"));
        total.store(9, Ordering::Relaxed);
        assert!(registry.render().contains("kromka_sent_bytes_total 9"));
    }

    #[test]
    fn a_mirror_tells_counters_from_gauges() {
        let registry = Registry::new("edge", "", "");
        let value = Arc::new(AtomicU64::new(7));
        let source = Arc::clone(&value);
        registry.mirror(move || {
            let value = source.load(Ordering::Relaxed);
            vec![("kromka_a_total", "A.", value), ("kromka_b", "B.", value)]
        });
        registry.mirror_by("kromka_c_total", "C.", "reason", || [("tls", 2)]);
        assert!(registry.render().contains(r#"kromka_c_total{reason="tls"} 2"#));
        for (now, total, open) in [(7, 7, 7), (9, 9, 9), (3, 9, 3)] {
            value.store(now, Ordering::Relaxed);
            let text = registry.render();
            assert!(
                text.contains(&format!("# TYPE kromka_a_total counter\nkromka_a_total {total}\n")),
                "{text}"
            );
            assert!(text.contains(&format!("# TYPE kromka_b gauge\nkromka_b {open}\n")), "{text}");
        }
    }

    #[test]
    fn histograms_count_into_their_buckets() {
        let registry = Registry::new("edge", "", "");
        let all = registry.histogram_vec("kromka_first_byte_seconds", "TTFB.", &["cache"], &LATENCY_BUCKETS);
        let hit = all.with(&["hit"]);
        hit.observe(0.0007);
        hit.observe(99.0);
        assert_eq!(hit.count(), 2);
        let text = registry.render();
        assert!(text.contains(r#"kromka_first_byte_seconds_bucket{cache="hit",le="0.001"} 1"#), "{text}");
        assert!(text.contains(r#"kromka_first_byte_seconds_bucket{cache="hit",le="+Inf"} 2"#), "{text}");
    }
}
