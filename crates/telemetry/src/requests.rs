//! What a tier's role counts of its requests and of what it asks its source. Labels are few and known at the
//! start: never a path, an address or a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{StatusCode, Version};

use crate::metric::{Counter, CounterVec, Histogram, HistogramVec};
use crate::pace::{Pace, ServiceTime};
use crate::registry::{LATENCY_BUCKETS, Registry};

/// The `proto` labels.
const PROTOCOLS: [&str; 2] = ["http/1.1", "h2"];

/// The `cache` label of an answer out of the cache.
pub const HIT: &str = "hit";

/// The requests of a role, by service.
pub struct RequestMeters {
    services: Vec<Arc<ServiceMeters>>,
    nobody: Arc<ServiceMeters>,
    tally: Arc<Tally>,
}

/// The requests of one service.
pub struct ServiceMeters {
    name: String,
    requests: CounterVec,
    first_byte: HistogramVec,
    hit: Histogram,
    /// Hits answered with content, by protocol: nearly all there is to count on a good day.
    hits: [Counter; 2],
    sent: Arc<AtomicU64>,
    tally: Arc<Tally>,
}

/// What is told of all services together.
#[derive(Default)]
struct Tally {
    pace: Pace,
    answered: AtomicU64,
    failed: AtomicU64,
}

impl RequestMeters {
    /// Registers the counts of requests, bytes and first bytes for `services`, and for `none` of them.
    /// `whose` requests they are is for the help text.
    pub fn new<'a>(registry: &Registry, whose: &str, services: impl Iterator<Item = &'a str>) -> Self {
        let requests = registry.counter_vec(
            "kromka_requests_total",
            &format!("Requests of {whose}, by how they were answered."),
            &["service", "proto", "status_class", "cache"],
        );
        let bytes = registry.counter_vec(
            "kromka_response_bytes_total",
            "Bytes of bodies handed to connections.",
            &["service"],
        );
        let first_byte = registry.histogram_vec(
            "kromka_first_byte_seconds",
            "From a request's header to the header of its answer.",
            &["service", "cache"],
            &LATENCY_BUCKETS,
        );
        let tally = Arc::new(Tally::default());
        let service = |name: &str, hit: Histogram| {
            let sent = Arc::new(AtomicU64::new(0));
            let (counter, total) = (bytes.with(&[name]), Arc::clone(&sent));
            registry.on_scrape(Box::new(move || counter.raise_to(total.load(Ordering::Relaxed))));
            let hits = PROTOCOLS.map(|proto| requests.with(&[name, proto, "2xx", HIT]));
            Arc::new(ServiceMeters {
                name: name.to_owned(),
                hits,
                requests: requests.clone(),
                first_byte: first_byte.clone(),
                hit,
                sent,
                tally: Arc::clone(&tally),
            })
        };
        Self {
            services: services.map(|name| service(name, first_byte.with(&[name, HIT]))).collect(),
            // What belongs to nobody is refused, never a hit.
            nobody: service("none", Histogram::default()),
            tally,
        }
    }

    /// The numbers of the service at that place of the list given to [`new`](Self::new).
    pub fn at(&self, service: Option<usize>) -> &ServiceMeters {
        service.and_then(|index| self.services.get(index)).unwrap_or(&self.nobody)
    }

    /// The numbers of the service of that name.
    pub fn named(&self, service: &str) -> &ServiceMeters {
        self.services.iter().find(|one| one.name == service).unwrap_or(&self.nobody)
    }

    /// How long it takes to the first byte of what is cached.
    pub fn service_time(&self, now: Instant) -> ServiceTime {
        self.tally.pace.times(now)
    }

    /// Requests answered so far, and those of them whose status was 5xx.
    pub fn answered(&self) -> (u64, u64) {
        let failed = self.tally.failed.load(Ordering::Relaxed);
        (self.tally.answered.load(Ordering::Relaxed).max(failed), failed)
    }
}

impl ServiceMeters {
    /// Counts an answer when its header is ready, `after` its request's.
    pub fn answered(&self, version: Version, status: StatusCode, cache: &'static str, after: Duration) {
        let proto = usize::from(version == Version::HTTP_2);
        match (cache == HIT && status.is_success(), self.hits.get(proto)) {
            (true, Some(hits)) => hits.inc(),
            _ => self.requests.with(&[&self.name, PROTOCOLS[proto], class(status), cache]).inc(),
        }
        self.tally.answered.fetch_add(1, Ordering::Relaxed);
        if status.is_server_error() {
            self.tally.failed.fetch_add(1, Ordering::Relaxed);
        }
        if cache == HIT {
            self.hit.observe(after.as_secs_f64());
            self.tally.pace.took(after);
        } else {
            self.first_byte.with(&[&self.name, cache]).observe(after.as_secs_f64());
        }
    }

    /// Where to add the bytes of bodies as they leave.
    pub fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }
}

/// The requests that a role sends to its source.
#[derive(Clone)]
pub struct SourceMeters {
    requests: CounterVec,
    first_byte: HistogramVec,
}

impl SourceMeters {
    /// Registers them.
    pub fn new(registry: &Registry) -> Self {
        Self {
            requests: registry.counter_vec(
                "kromka_source_requests_total",
                "Requests to the source, by status class or fault.",
                &["service", "outcome"],
            ),
            first_byte: registry.histogram_vec(
                "kromka_source_first_byte_seconds",
                "From a request to the source to the header of its answer.",
                &["service"],
                &LATENCY_BUCKETS,
            ),
        }
    }

    /// Counts a request that was sent at `begun`: the status of its answer, or the name of a fault.
    pub fn count(&self, service: &str, begun: Instant, outcome: Result<StatusCode, &'static str>) {
        self.requests.with(&[service, outcome.map_or_else(|fault| fault, class)]).inc();
        self.first_byte.with(&[service]).observe(begun.elapsed().as_secs_f64());
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn requests_and_bytes_are_counted_by_service() {
        let registry = Registry::new("edge", "", "");
        let meters = RequestMeters::new(&registry, "viewers", ["a", "b"].into_iter());
        let after = Duration::from_millis(4);
        meters.at(Some(1)).answered(Version::HTTP_2, StatusCode::PARTIAL_CONTENT, HIT, after);
        meters.named("a").answered(Version::HTTP_11, StatusCode::OK, "miss", after);
        meters.named("?").answered(Version::HTTP_11, StatusCode::NOT_FOUND, "none", after);
        meters.named("b").sent().fetch_add(5, Ordering::Relaxed);
        meters.named("b").answered(Version::HTTP_11, StatusCode::BAD_GATEWAY, "miss", Duration::from_secs(9));
        assert_eq!(meters.answered(), (4, 1));
        let p99_ms = meters.service_time(Instant::now()).p99_ms;
        assert!((3.7..4.3).contains(&p99_ms), "misses do not count: {p99_ms}");
        let text = registry.render();
        for line in [
            r#"kromka_requests_total{cache="hit",proto="h2",service="b",status_class="2xx"} 1"#,
            r#"kromka_requests_total{cache="miss",proto="http/1.1",service="a",status_class="2xx"} 1"#,
            r#"kromka_requests_total{cache="none",proto="http/1.1",service="none",status_class="4xx"} 1"#,
            r#"kromka_response_bytes_total{service="b"} 5"#,
            r#"kromka_response_bytes_total{service="a"} 0"#,
            r#"kromka_first_byte_seconds_count{cache="miss",service="a"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_source_is_counted_by_class_or_fault() {
        let registry = Registry::new("edge", "", "");
        let meters = SourceMeters::new(&registry);
        meters.count("a", Instant::now(), Ok(StatusCode::NOT_MODIFIED));
        meters.count("a", Instant::now(), Err("timed_out"));
        let text = registry.render();
        for outcome in ["3xx", "timed_out"] {
            let line = format!(r#"kromka_source_requests_total{{outcome="{outcome}",service="a"}} 1"#);
            assert!(text.contains(&line), "{text}");
        }
    }
}
