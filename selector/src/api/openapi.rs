//! The OpenAPI document, `GET /v1/openapi.json`. It is checked in as `selector/openapi.json`.

use axum::response::{IntoResponse, Response};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use serde::Serialize;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// An error, as RFC 9457 spells it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
#[allow(dead_code, reason = "describes what kromka_net::Problem writes")]
pub(crate) struct ProblemDocument {
    /// What kind of error it is, for programs.
    #[schema(example = "urn:kromka:problem:invalid")]
    r#type: String,
    /// The kind in a few words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened this time and what to do.
    detail: Option<String>,
    /// Which parts of the body are wrong.
    errors: Option<Vec<ProblemPart>>,
    /// Seconds after which a new try makes sense.
    retry_after_s: Option<u64>,
}

/// One wrong part of a body.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes what kromka_net::Problem writes")]
pub(crate) struct ProblemPart {
    /// A JSON pointer as a fragment.
    #[schema(example = "#/asset")]
    pointer: String,
    /// What is wrong there and what is allowed.
    detail: String,
}

/// How a call may be refused.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "describes what ApiError writes")]
pub(crate) enum Refusals {
    /// The request cannot be understood.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] ProblemDocument),
    /// No bearer token, or not a known one.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(#[to_schema] ProblemDocument),
    /// The token lacks the scope.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] ProblemDocument),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] ProblemDocument),
    /// Not possible in the present state, or the same request is in progress.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] ProblemDocument),
    /// `If-Match` names an older version.
    #[response(status = 412, content_type = "application/problem+json")]
    Changed(#[to_schema] ProblemDocument),
    /// The body is larger than 1 MiB.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] ProblemDocument),
    /// The body is not valid (`errors` says where), or the idempotency key came with another request before.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(#[to_schema] ProblemDocument),
    /// The selector failed.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(#[to_schema] ProblemDocument),
    /// No edge or no node is available; `Retry-After` says when to try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] ProblemDocument),
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "kromka control API",
        description = "Playback sessions, signed URLs, pre-warming, purging and the fleet of a kromka CDN.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "sessions", description = "What viewers need to play."),
        (name = "content", description = "What nodes are to hold or to drop."),
        (name = "operations", description = "How long work goes."),
        (name = "nodes", description = "The fleet."),
        (name = "routing", description = "Which edge serves whom."),
        (name = "for nodes", description = "What edges and shields say and ask."),
    ),
    paths(
        super::sessions::create,
        super::sessions::create_batch,
        super::sign::sign,
        super::keys::list,
        super::prewarm::prewarm,
        super::purge::purge,
        super::operations::list,
        super::operations::show,
        super::operations::cancel,
        super::operations::follow,
        super::nodes::list,
        super::nodes::show,
        super::nodes::drain,
        super::nodes::resume,
        super::maintenance::list,
        super::maintenance::plan,
        super::maintenance::take_back,
        super::explain::explained,
        super::explain::simulated,
        super::decisions::zones,
        super::decisions::replace_zones,
        super::decisions::costs,
        super::decisions::replace_costs,
        super::heartbeat::hear,
        super::feed::read,
        super::beacon::take,
        crate::answer::select::select,
        crate::answer::route::route,
        crate::answer::steer::steer,
    ),
    modifiers(&Tokens)
)]
struct Document;

/// The two kinds of bearer tokens.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |description: &str| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
            SecurityScheme::Http(scheme.build())
        };
        let components = document.components.get_or_insert_default();
        let callers = "A token of the selector's configuration, with scopes.";
        components.add_security_scheme("token", bearer(callers));
        components.add_security_scheme("node", bearer("The token that all nodes and selectors share."));
    }
}

/// The document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Serves the document.
pub(crate) async fn serve() -> Response {
    let fields = [(CONTENT_TYPE, "application/json"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    match document().to_pretty_json() {
        Ok(text) => (fields, text).into_response(),
        Err(error) => crate::error::ApiError::Internal(error.to_string()).into_response(),
    }
}
