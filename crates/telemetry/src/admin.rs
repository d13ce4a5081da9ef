//! The three questions that every admin listener answers.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::health::Health;
use crate::registry::Registry;

/// Answers `/metrics`, `/healthz` (the process is alive) and `/readyz` (it takes traffic; else 503 with the
/// reasons as JSON). `None` for any other path: those are the role's own.
pub fn admin(path: &str, registry: &Registry, health: &Health) -> Option<Response<String>> {
    match path {
        "/metrics" => {
            Some(answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", registry.render()))
        }
        "/healthz" => {
            Some(answer(StatusCode::OK, "application/json", json!({"status": "alive"}).to_string()))
        }
        "/readyz" => Some(match health.ready() {
            Ok(()) => answer(StatusCode::OK, "application/json", json!({"status": "ready"}).to_string()),
            Err(reasons) => {
                let reasons: Vec<_> = reasons
                    .into_iter()
                    .map(|(check, reason)| json!({"check": check, "reason": reason}))
                    .collect();
                let body = json!({"status": "not ready", "reasons": reasons});
                answer(StatusCode::SERVICE_UNAVAILABLE, "application/json", body.to_string())
            }
        }),
        _ => None,
    }
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn an_unready_role_says_why() {
        let (registry, health) = (Registry::new("edge", "", ""), Health::new());
        health.set_ready("shield", Err("no shield answers".to_owned()));
        let answer = admin("/readyz", &registry, &health).unwrap();
        assert_eq!(answer.status(), 503);
        let body: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(body["reasons"][0]["check"], "shield");
        assert_eq!(body["reasons"][0]["reason"], "no shield answers");
        assert_eq!(admin("/healthz", &registry, &health).unwrap().status(), 200);
        health.set_ready("shield", Ok(()));
        assert_eq!(admin("/readyz", &registry, &health).unwrap().status(), 200);
    }

    #[test]
    fn metrics_are_text_for_prometheus_and_other_paths_are_not_ours() {
        let (registry, health) = (Registry::new("edge", "", ""), Health::new());
        let answer = admin("/metrics", &registry, &health).unwrap();
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        assert!(answer.body().contains("kromka_build_info"));
        assert!(admin("/metrics/", &registry, &health).is_none());
        assert!(admin("/v1/cache/stats", &registry, &health).is_none());
    }
}
