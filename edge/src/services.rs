//! Which service owns a path, and what of the query names an object.

use kromka_config::{Access, Content, ServiceConfig, owns};
use url::Url;

use crate::cors::Cors;

/// The published services, the longest prefix first.
pub(crate) struct Services(Vec<Service>);

/// One published tree, as a request needs it.
pub(crate) struct Service {
    pub(crate) id: String,
    prefix: String,
    /// Whether everybody may read it.
    pub(crate) public: bool,
    /// Whether it is any HTTP content rather than media.
    pub(crate) web: bool,
    pub(crate) cors: Cors,
    query: Vec<String>,
    /// Where its players ask which edge to take.
    pub(crate) steering: Option<Url>,
    /// Segments that are fetched before a viewer asks.
    pub(crate) ahead: usize,
    /// Its place in the configuration, which is its place in the meters.
    pub(crate) index: usize,
}

impl Services {
    pub(crate) fn new(config: &[ServiceConfig]) -> Services {
        let service = |(index, service): (usize, &ServiceConfig)| Service {
            id: service.id.clone(),
            prefix: service.prefix.clone(),
            public: service.access == Access::Public,
            web: service.content == Content::Web,
            cors: Cors::new(&service.cors_origins),
            query: service.query.clone(),
            steering: service.steering.clone(),
            ahead: service.ahead as usize,
            index,
        };
        let mut services: Vec<_> = config.iter().enumerate().map(service).collect();
        services.sort_by_key(|service| std::cmp::Reverse(service.prefix.len()));
        Services(services)
    }

    /// The service with the longest prefix that ends at a segment of the path.
    pub(crate) fn of(&self, path: &str) -> Option<&Service> {
        self.0.iter().find(|service| owns(&service.prefix, path))
    }

    /// Whether there is nothing but web content, whose paths are the source's own affair.
    pub(crate) fn all_web(&self) -> bool {
        self.0.iter().all(|service| service.web)
    }

    /// Whether no service knows tokens.
    pub(crate) fn all_public(&self) -> bool {
        self.0.iter().all(|service| service.public)
    }
}

impl Service {
    /// The allow-listed part of a query, in the order of the list: what belongs to the key.
    pub(crate) fn key_query(&self, query: Option<&str>) -> Option<String> {
        let query = query.filter(|_| !self.query.is_empty())?;
        let mut kept = String::new();
        for name in &self.query {
            for pair in query.split('&').filter(|pair| pair.split('=').next() == Some(name)) {
                if !kept.is_empty() {
                    kept.push('&');
                }
                kept.push_str(pair);
            }
        }
        (!kept.is_empty()).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn services(prefixes: &[&str]) -> Services {
        let config: Vec<_> = prefixes
            .iter()
            .map(|prefix| ServiceConfig {
                prefix: (*prefix).to_owned(),
                ..ServiceConfig::new(prefix.to_string())
            })
            .collect();
        Services::new(&config)
    }

    #[test]
    fn the_longest_prefix_wins_and_ends_at_a_segment() {
        let services = services(&["/", "/music", "/music/live/"]);
        for (path, owner) in [
            ("/a.ts", "/"),
            ("/music/a.ts", "/music"),
            ("/music", "/music"),
            ("/musical/a.ts", "/"),
            ("/music/live/a.ts", "/music/live/"),
            ("/music/lively", "/music"),
        ] {
            assert_eq!(services.of(path).unwrap().id, owner, "{path}");
        }
        assert!(self::services(&["/music"]).of("/film/a").is_none());
    }

    #[test]
    fn only_listed_parameters_name_an_object_in_the_order_of_the_list() {
        let mut config = ServiceConfig::new("a");
        config.query = vec!["v".to_owned(), "lang".to_owned()];
        let services = Services::new(&[config]);
        let service = services.of("/x").unwrap();
        assert_eq!(service.key_query(Some("utm=1&lang=de&v=2&kt=secret")).as_deref(), Some("v=2&lang=de"));
        assert_eq!(service.key_query(Some("vv=2")), None);
        assert_eq!(service.key_query(None), None);
    }
}
