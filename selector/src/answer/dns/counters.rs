//! What DNS counts. Handles are looked up once: an answer takes a few microseconds.

use kromka_telemetry::{Counter, Gauge, Registry};

use super::numbers::Code;

/// The counters of all sockets.
pub(crate) struct Counters {
    pub(super) udp: Counter,
    pub(super) tcp: Counter,
    pub(super) ignored: Counter,
    pub(super) truncated: Counter,
    pub(super) slipped: Counter,
    pub(super) dropped: Counter,
    pub(super) subnets: Counter,
    pub(super) proven: Counter,
    pub(super) connections: Gauge,
    pub(super) refused: Counter,
    codes: [Counter; Code::ALL.len()],
}

impl Counters {
    /// Registers everything.
    pub(crate) fn new(registry: &Registry) -> Counters {
        let queries = registry.counter_vec("kromka_dns_queries_total", "Messages received.", &["proto"]);
        let answers = registry.counter_vec("kromka_dns_answers_total", "Answers sent.", &["code"]);
        let limited = registry.counter_vec(
            "kromka_dns_limited_total",
            "Questions past their network's rate: sent to TCP, or not answered.",
            &["action"],
        );
        Counters {
            udp: queries.with(&["udp"]),
            tcp: queries.with(&["tcp"]),
            ignored: registry
                .counter("kromka_dns_ignored_total", "Messages that nothing may be answered to."),
            truncated: registry
                .counter("kromka_dns_truncated_total", "Answers too large for UDP, sent to TCP."),
            slipped: limited.with(&["slipped"]),
            dropped: limited.with(&["dropped"]),
            subnets: registry.counter(
                "kromka_dns_client_subnets_total",
                "Questions that said for which network they were.",
            ),
            proven: registry
                .counter("kromka_dns_cookies_total", "Questions whose cookie proved the asker's address."),
            connections: registry.gauge("kromka_dns_tcp_connections", "Open TCP connections."),
            refused: registry.counter(
                "kromka_dns_tcp_refused_total",
                "TCP connections closed at dns.connections or dns.connections_per_network.",
            ),
            codes: Code::ALL.map(|code| answers.with(&[code.as_str()])),
        }
    }

    /// One answer.
    pub(super) fn answered(&self, code: Code) {
        if let Some(at) = Code::ALL.iter().position(|known| *known == code)
            && let Some(counter) = self.codes.get(at)
        {
            counter.inc();
        }
    }
}
