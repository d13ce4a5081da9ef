//! The page to try a stream with: `/player`. Its files are part of the binary; it holds no secret.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};

use crate::{app::App, error::ApiError};

/// What the page may load: its own files, and media from wherever edges are.
const POLICY: &str = "default-src 'self'; connect-src *; media-src * blob:; img-src 'self' data:; \
                      style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// Name, media type, text.
const FILES: [(&str, &str, &str); 12] = [
    ("index.html", "text/html; charset=utf-8", include_str!("../player/index.html")),
    ("player.css", "text/css; charset=utf-8", include_str!("../player/player.css")),
    ("api.js", SCRIPT, include_str!("../player/api.js")),
    ("beacon.js", SCRIPT, include_str!("../player/beacon.js")),
    ("hlsjs.js", SCRIPT, include_str!("../player/hlsjs.js")),
    ("moves.js", SCRIPT, include_str!("../player/moves.js")),
    ("nodes.js", SCRIPT, include_str!("../player/nodes.js")),
    ("page.js", SCRIPT, include_str!("../player/page.js")),
    ("playback.js", SCRIPT, include_str!("../player/playback.js")),
    ("player.js", SCRIPT, include_str!("../player/player.js")),
    ("segments.js", SCRIPT, include_str!("../player/segments.js")),
    ("steering.js", SCRIPT, include_str!("../player/steering.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page and what it loads.
pub(crate) fn routes() -> Router<Arc<App>> {
    let page = || async { file("index.html") };
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/player") }))
        .route("/player", get(page))
        .route("/player/", get(page))
        .route("/player/{name}", get(|Path(name): Path<String>| async move { file(&name) }))
}

fn file(name: &str) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|file| file.0 == name) else {
        return ApiError::NotFound("the player has no such file".to_owned()).into_response();
    };
    let fields = [
        (CONTENT_TYPE, *kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Pages of a platform import `hlsjs.js` from here.
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        // An upgrade changes all files together.
        (CACHE_CONTROL, "no-cache"),
    ];
    (fields, *text).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("player");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let mut served: Vec<&str> = FILES.iter().map(|file| file.0).collect();
        served.sort_unstable();
        assert_eq!(found, served);
    }
}
