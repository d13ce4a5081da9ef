//! What an origin counts. Labels are few and known at the start: never a path, an address or a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{StatusCode, Version};
use kromka_cache::{Fetched, SourceError, SourceFault, Stats, Tier};
use kromka_config::OriginConfig;
use kromka_telemetry::{Counter, CounterVec, Histogram, HistogramVec, LATENCY_BUCKETS, Registry};

use crate::load::Listeners;
use crate::source::Sources;

/// The label of an answer out of the cache.
const HIT: &str = "hit";

/// The numbers of an origin.
pub(crate) struct Meters {
    /// In the order of the configuration.
    services: Vec<Arc<ServiceMeters>>,
    /// For what belongs to no service.
    nobody: Arc<ServiceMeters>,
    pace: Arc<Pace>,
}

/// The numbers of one service.
pub(crate) struct ServiceMeters {
    name: String,
    requests: CounterVec,
    first_byte: HistogramVec,
    hit: Histogram,
    sent: Counter,
    pace: Arc<Pace>,
}

/// How long hits take, smoothed: microseconds.
#[derive(Default)]
struct Pace(AtomicU64);

impl Meters {
    pub(crate) fn new(registry: &Registry, config: &OriginConfig) -> Meters {
        let requests = registry.counter_vec(
            "kromka_requests_total",
            "Requests of edges, by how they were answered.",
            &["service", "proto", "status_class", "cache"],
        );
        let sent = registry.counter_vec(
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
        let pace = Arc::new(Pace::default());
        let service = |name: &str, hit: Histogram| {
            Arc::new(ServiceMeters {
                name: name.to_owned(),
                requests: requests.clone(),
                hit,
                first_byte: first_byte.clone(),
                sent: sent.with(&[name]),
                pace: Arc::clone(&pace),
            })
        };
        Meters {
            services: config
                .service
                .iter()
                .map(|one| service(&one.id, first_byte.with(&[&one.id, HIT])))
                .collect(),
            // What belongs to nobody is refused, never a hit.
            nobody: service("none", Histogram::default()),
            pace,
        }
    }

    /// The numbers of the service that a request's path begins with.
    pub(crate) fn named(&self, path: &str) -> &Arc<ServiceMeters> {
        let service = path.split('/').nth(1).unwrap_or_default();
        self.services.iter().find(|one| one.name == service).unwrap_or(&self.nobody)
    }

    /// Milliseconds to the first byte of what is cached, smoothed.
    pub(crate) fn hit_ms(&self) -> f64 {
        self.pace.0.load(Ordering::Relaxed) as f64 / 1000.0
    }
}

impl ServiceMeters {
    /// Counts an answer when its header is ready.
    pub(crate) fn answered(
        &self,
        version: Version,
        status: StatusCode,
        cache: &'static str,
        after: Duration,
    ) {
        let proto = if version == Version::HTTP_2 { "h2" } else { "http/1.1" };
        self.requests.with(&[&self.name, proto, class(status), cache]).inc();
        if cache == HIT {
            self.hit.observe(after.as_secs_f64());
            self.pace.took(after);
        } else {
            self.first_byte.with(&[&self.name, cache]).observe(after.as_secs_f64());
        }
    }

    /// Counts a piece of a body as it leaves.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }
}

impl Pace {
    /// A sixteenth of the new into the old. Two at once may lose one of them: it is a mean.
    fn took(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX).max(1);
        let old = self.0.load(Ordering::Relaxed);
        let new = if old == 0 { micros } else { old - old / 16 + micros / 16 };
        self.0.store(new, Ordering::Relaxed);
    }
}

/// Makes the registry look at what is counted elsewhere, at each scrape.
pub(crate) fn watch(registry: &Registry, tier: Arc<Tier<Sources>>, listeners: Listeners) {
    type Read = fn(&Stats) -> u64;
    let counters: [(&str, &str, Read); 16] = [
        ("kromka_cache_hits_total", "Answered from what was stored and fresh.", |s| s.hits),
        ("kromka_cache_stale_total", "Answered with stale content (RFC 5861).", |s| s.stale),
        ("kromka_cache_revalidated_total", "Answered after a 304.", |s| s.revalidated),
        ("kromka_cache_miss_cold_total", "Never here, or evicted.", |s| s.miss_cold),
        ("kromka_cache_miss_purged_total", "Forbidden by a purge.", |s| s.miss_purged),
        ("kromka_cache_miss_expired_total", "Stale, and came anew.", |s| s.miss_expired),
        ("kromka_cache_collapsed_total", "Joined another request's fetch.", |s| s.collapsed),
        ("kromka_cache_passed_total", "Must not be stored.", |s| s.passed),
        ("kromka_cache_failed_total", "Could not be answered.", |s| s.failed),
        ("kromka_cache_memory_blocks_total", "Blocks answered from memory.", |s| s.memory_blocks),
        ("kromka_cache_disk_blocks_total", "Blocks answered from disk.", |s| s.disk_blocks),
        ("kromka_cache_disk_skipped_total", "Blocks that went without the disk.", |s| s.disk_skipped),
        ("kromka_cache_disk_errors_total", "Reads and writes that failed.", |s| s.disk_errors),
        ("kromka_cache_disk_corrupt_total", "Blocks whose checksum was wrong.", |s| s.disk_corrupt),
        ("kromka_fill_errors_total", "Fetches that failed.", |s| s.source_errors),
        ("kromka_fill_bytes_total", "Body bytes fetched.", |s| s.source_bytes),
    ];
    let gauges: [(&str, &str, Read); 7] = [
        ("kromka_cache_memory_bytes", "Blocks in memory.", |s| s.memory_bytes),
        ("kromka_cache_memory_limit_bytes", "The memory budget.", |s| s.memory_limit),
        ("kromka_cache_disk_bytes", "Blocks on disk.", |s| s.disk_bytes),
        ("kromka_cache_disk_limit_bytes", "The disk budget.", |s| s.disk_limit),
        ("kromka_cache_disk_objects", "Objects on disk.", |s| s.disk_objects),
        ("kromka_cache_objects", "Objects known.", |s| s.objects),
        ("kromka_fill_active", "Fetches under way.", |s| s.fills_active),
    ];
    let counters = counters.map(|(name, help, read)| (registry.counter(name, help), read));
    let gauges = gauges.map(|(name, help, read)| (registry.gauge(name, help), read));
    let connections = registry.gauge("kromka_connections", "Connections open.");
    let refused =
        registry.counter("kromka_connections_refused_total", "Connections over limits.connections.");
    registry.on_scrape(Box::new(move || {
        let stats = tier.stats();
        for (counter, read) in &counters {
            counter.raise_to(read(&stats));
        }
        for (gauge, read) in &gauges {
            gauge.set(read(&stats) as f64);
        }
        connections.set(listeners.active() as f64);
        refused.raise_to(listeners.refused());
    }));
}

/// The numbers of a source.
#[derive(Clone)]
pub(crate) struct SourceMeters {
    requests: CounterVec,
    first_byte: HistogramVec,
}

/// One request to a source, until its header is there.
pub(crate) struct Asked<'a> {
    meters: &'a SourceMeters,
    service: String,
    begun: Instant,
}

impl SourceMeters {
    pub(crate) fn new(registry: &Registry) -> SourceMeters {
        SourceMeters {
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

    /// Starts the clock of a request.
    pub(crate) fn asked(&self, service: &str) -> Asked<'_> {
        Asked { meters: self, service: service.to_owned(), begun: Instant::now() }
    }
}

impl Asked<'_> {
    /// Counts how it ended, and hands it on.
    pub(crate) fn count(self, answer: Result<Fetched, SourceError>) -> Result<Fetched, SourceError> {
        let outcome = match &answer {
            Ok(fetched) => class(fetched.status),
            Err(error) => match error.kind {
                SourceFault::Unreachable => "unreachable",
                SourceFault::TimedOut => "timed_out",
                SourceFault::Broken => "broken",
                SourceFault::Busy => "busy",
            },
        };
        self.meters.requests.with(&[&self.service, outcome]).inc();
        self.meters.first_byte.with(&[&self.service]).observe(self.begun.elapsed().as_secs_f64());
        answer
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
