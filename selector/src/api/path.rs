//! Reading what names content: a path or a URL, as a viewer would ask for it.

use kromka_config::SelectorService;
use kromka_hls::RequestPath;

use crate::error::ApiError;

/// The decoded path and the query of a path or an http(s) URL. A token in it is taken off; host and port do not
/// matter, for every edge has the same content.
pub(crate) fn content_path(text: &str) -> Result<RequestPath, String> {
    let rest = match text {
        path if path.starts_with('/') => None,
        url => url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")),
    };
    let target = rest.map_or(text, |rest| rest.find('/').map_or("/", |slash| &rest[slash..]));
    kromka_hls::split(target).map_err(|error| error.to_string())
}

/// The path of one thing that `service` publishes, or what is wrong with it at `pointer`.
pub(crate) fn owned_path(
    service: &SelectorService,
    pointer: &str,
    text: &str,
) -> Result<RequestPath, ApiError> {
    let split = content_path(text).map_err(|message| ApiError::field(pointer, message))?;
    if kromka_config::owns(&service.prefix, &split.path) {
        return Ok(split);
    }
    let message = format!("the service `{}` publishes what begins with {}", service.id, service.prefix);
    Err(ApiError::field(pointer, message))
}

/// The paths of a list; `whole` also allows a prefix that the service's own prefix begins with.
pub(crate) fn owned_paths(
    service: &SelectorService,
    name: &str,
    list: &[String],
    whole: bool,
) -> Result<Vec<RequestPath>, ApiError> {
    let read = |(index, text): (usize, &String)| {
        let pointer = format!("/{name}/{index}");
        match content_path(text) {
            Ok(split) if whole && service.prefix.starts_with(&split.path) => Ok(split),
            _ => owned_path(service, &pointer, text),
        }
    };
    list.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn paths_and_urls_name_the_same() {
        for text in [
            "/stream/a%20b/x.ts",
            "http://edge-1.example:8080/stream/a%20b/x.ts",
            "https://cdn.example/~abc.def.ghi/stream/a%20b/x.ts",
        ] {
            assert_eq!(content_path(text).unwrap().path, "/stream/a b/x.ts", "{text}");
        }
        assert_eq!(content_path("http://cdn.example").unwrap().path, "/");
        assert_eq!(content_path("/a?x=1").unwrap().query.as_deref(), Some("x=1"));
        for text in ["stream", "ftp://x/a", "/a/../b", "/a%2e%2e/%2e%2e/b", ""] {
            assert!(content_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_service_answers_for_its_own_paths() {
        let service = SelectorService { prefix: "/music/".into(), ..SelectorService::new("music") };
        assert!(owned_path(&service, "/asset", "/music/a.m3u8").is_ok());
        assert!(owned_path(&service, "/asset", "/video/a.m3u8").is_err());
        assert!(owned_path(&service, "/asset", "/musical/a.m3u8").is_err());
        let list = ["/".to_owned(), "/music/a/".to_owned()];
        assert_eq!(owned_paths(&service, "prefixes", &list, true).unwrap().len(), 2);
        let ApiError::Invalid(errors) = owned_paths(&service, "urls", &list, false).unwrap_err() else {
            panic!()
        };
        assert_eq!(errors[0].pointer, "/urls/0");
    }
}
