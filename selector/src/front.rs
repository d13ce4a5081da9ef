//! The public listener: who answers what, and what holds for every request.

use std::sync::Arc;

use axum::{Extension, Router, body::Body};
use http::{Request, Response};
use http_body_util::Either;
use kromka_net::{Handler, Incoming, Peer, ServiceHandler};

use crate::{
    answer::{self, Text},
    api,
    app::App,
    error::ApiError,
    player,
};

/// Everything that is served: viewers first, then the platform and the nodes.
pub(crate) struct Front {
    app: Arc<App>,
    others: ServiceHandler<Router>,
}

impl Front {
    pub(crate) fn new(app: Arc<App>, with_player: bool) -> Front {
        let mut router = Router::new().merge(api::routes(&app));
        if with_player {
            router = router.merge(player::routes());
        }
        let router = router
            .fallback(|| async {
                ApiError::NotFound("nothing is served at this path; /v1/openapi.json lists what is".into())
            })
            .method_not_allowed_fallback(api::method_not_allowed)
            .layer(Extension(Arc::clone(&app)))
            .with_state(Arc::clone(&app));
        Front { app, others: ServiceHandler::new(router) }
    }
}

impl Handler for Front {
    type Body = Either<Text, Body>;

    async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Response<Either<Text, Body>> {
        let response = match answer::answer(&self.app, request.method(), request.uri(), peer) {
            Some(response) => response.map(Either::Left),
            None => self.others.handle(request, peer).await.map(Either::Right),
        };
        self.app.metrics.answered(response.status());
        response
    }

    fn ended(&self, peer: Peer) {
        if let Some(node) = self.app.lines.ended(peer.addr) {
            self.app.roster.doubt(&node);
        }
    }
}
