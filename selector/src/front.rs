//! The public listener: all routes, and what holds for every request.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use kromka_net::ServiceHandler;

use crate::{answer, api, app::App, error::ApiError, player};

/// Everything that is served to viewers, to the platform and to nodes.
pub(crate) fn front(app: Arc<App>, with_player: bool) -> ServiceHandler<Router> {
    let viewers = Router::new()
        .route("/route/{*path}", get(answer::route::route).options(answer::cors::preflight))
        .route("/v1/select", get(answer::select::select).options(answer::cors::preflight))
        .layer(from_fn(answer::cors::allow));
    let mut router = Router::new().merge(viewers).merge(api::routes(&app));
    if with_player {
        router = router.merge(player::routes());
    }
    let router = router
        .fallback(|| async {
            ApiError::NotFound("nothing is served at this path; /v1/openapi.json lists what is".into())
        })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(from_fn_with_state(Arc::clone(&app), count))
        .layer(Extension(Arc::clone(&app)))
        .with_state(app);
    ServiceHandler::new(router)
}

async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    app.metrics.answered(response.status());
    response
}
