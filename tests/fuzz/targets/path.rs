//! Request targets, and what players say beside them: a path is clean or refused, and stays itself when it is
//! written and read again.
#![no_main]

use kromka_hls::{Directives, encode_path, next_request, resolve, split, split_plain};

libfuzzer_sys::fuzz_target!(|raw: &str| {
    for read in [split, split_plain] {
        let Ok(parts) = read(raw) else { continue };
        clean(&parts.path);
        assert_eq!(split_plain(&encode_path(&parts.path)).map(|again| again.path), Ok(parts.path.clone()));
        let _ = Directives::read(parts.query.as_deref());
        let next = next_request(parts.query.as_deref(), None).and_then(|next| next.uri);
        if let Some(path) = next.and_then(|uri| resolve(&parts.path, &uri)) {
            clean(&path);
        }
    }
    let _ = next_request(None, Some(raw));
    if let Some(path) = resolve("/a/b.m3u8", raw) {
        clean(&path);
    }
});

/// A path as caches and sources may be given it.
fn clean(path: &str) {
    assert!(path.starts_with('/') && !path.contains("//"), "{path:?}");
    assert!(!path.contains('\\') && !path.chars().any(char::is_control), "{path:?}");
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{path:?}");
}
