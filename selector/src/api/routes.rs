//! Which path and method leads where, behind which scope.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post, put},
};
use http::{HeaderValue, Uri, header::ALLOW};
use kromka_access::Scope;

use super::{
    beacon, decisions, explain, feed, heartbeat, keys, maintenance, nodes, openapi, operations, prewarm,
    purge, sessions, sign,
    writes::{Gate, guard_node, guard_read, guard_write},
};
use crate::{app::App, error::ApiError};

type Route = MethodRouter<Arc<App>>;

/// What can be done with the things in a folder, by `POST {folder}/{id}:{verb}`.
const VERBS: [(&str, &[&str]); 2] = [("/v1/nodes", &["drain", "resume"]), ("/v1/operations", &["cancel"])];

/// The answer to a method that a path does not have; where the router names too many that it has, its own.
pub(crate) async fn method_not_allowed(uri: Uri) -> Response {
    let mut response = ApiError::MethodNotAllowed.into_response();
    if let Some(methods) = own_methods(uri.path()) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    }
    response
}

/// Refuses what the router lets through because `{id}` and `{id}:verb` are one path to it, with the methods of both.
async fn apart(request: Request, next: Next) -> Response {
    let method = request.method().as_str();
    match own_methods(request.uri().path()) {
        Some(methods) if methods.split(',').all(|own| own != method) => {
            method_not_allowed(request.uri().clone()).await
        }
        _ => next.run(request).await,
    }
}

/// The methods of a thing in one of these folders, or of a verb of it, which may have its colon escaped.
fn own_methods(path: &str) -> Option<&'static str> {
    let (folder, name) = path.rsplit_once('/')?;
    let (_, verbs) = VERBS.iter().find(|(known, _)| *known == folder)?;
    match [":", "%3A", "%3a"].iter().find_map(|colon| name.rsplit_once(colon)) {
        None => Some("GET,HEAD"),
        Some((_, verb)) => verbs.contains(&verb).then_some("POST"),
    }
}

/// The control API.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let read = |route: Route| guarded(app, Scope::Read, route, false);
    let for_nodes = |route: Route| route.layer(from_fn_with_state(Arc::clone(app), guard_node));
    let write = |scope: Scope, route: Route| guarded(app, scope, route, true);
    Router::new()
        .route("/v1/playback-sessions", write(Scope::SessionsWrite, post(sessions::create)))
        .route("/v1/playback-sessions:batch", write(Scope::SessionsWrite, post(sessions::create_batch)))
        .route("/v1/sign", write(Scope::SessionsWrite, post(sign::sign)))
        .route("/v1/keys", get(keys::list))
        .route("/v1/prewarm", write(Scope::ContentWrite, post(prewarm::prewarm)))
        .route("/v1/purge", write(Scope::PurgeWrite, post(purge::purge)))
        .route("/v1/operations", read(get(operations::list)))
        .route(
            "/v1/operations/{id}",
            read(get(operations::show))
                .merge(write(Scope::ContentWrite, post(operations::cancel)))
                .layer(from_fn(apart)),
        )
        .route("/v1/operations/{id}/stream", read(get(operations::follow)))
        .route("/v1/nodes", read(get(nodes::list)))
        .route(
            "/v1/nodes/{id}",
            read(get(nodes::show)).merge(write(Scope::NodesWrite, post(nodes::verb))).layer(from_fn(apart)),
        )
        .route("/v1/select/explain", read(get(explain::explained)))
        .route("/v1/simulate", read(post(explain::simulated)))
        .route(
            "/v1/zones",
            read(get(decisions::zones)).merge(write(Scope::NodesWrite, put(decisions::replace_zones))),
        )
        .route(
            "/v1/costs",
            read(get(decisions::costs)).merge(write(Scope::NodesWrite, put(decisions::replace_costs))),
        )
        .route(
            "/v1/maintenance",
            read(get(maintenance::list)).merge(write(Scope::NodesWrite, post(maintenance::plan))),
        )
        .route("/v1/maintenance/{id}", write(Scope::NodesWrite, delete(maintenance::take_back)))
        .route("/v1/nodes/{id}/heartbeat", for_nodes(post(heartbeat::hear)))
        .route("/v1/feed", for_nodes(get(feed::read)))
        .route("/v1/beacon", post(beacon::take).options(beacon::preflight))
        .route("/v1/openapi.json", get(openapi::serve))
}

fn guarded(app: &Arc<App>, scope: Scope, route: Route, writes: bool) -> Route {
    let gate = Gate { app: Arc::clone(app), scope };
    match writes {
        true => route.layer(from_fn_with_state(gate, guard_write)),
        false => route.layer(from_fn_with_state(gate, guard_read)),
    }
}
