//! Where the shield's tier fills from: each service its own source, one rule of lifetimes for all.
//!
//! A fetch goes service -> backing (`bucket` or `web`), whose answer gets its tags by rule -> the guard of live
//! streams (`kromka_live`) -> `lifetimes`, which gives every answer its Cache-Control: the shield decides how
//! long things live, the edges only obey.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream;
use http::{HeaderMap, StatusCode};
use kromka_cache::{Fetched, Key, Source, SourceError, Want};
use kromka_config::{LifetimesConfig, OriginConfig, SourceConfig, TagRule};
use kromka_hls::{Kind, Wanted};
use kromka_live::{Live, Reload, Version, parts};
use kromka_telemetry::SourceMeters;

use crate::backing::{Listed, Timing, plain};
use crate::bucket::Bucket;
use crate::error::StartError;
use crate::lifetimes::{self, Known};
use crate::web::Web;

/// A connection inside a data centre that takes longer than this will not come.
const CONNECT: Duration = Duration::from_secs(2);

/// All sources of an origin; a clone is another handle to the same ones.
#[derive(Clone)]
pub(crate) struct Sources(Arc<Inner>);

struct Inner {
    services: HashMap<String, Published>,
    meters: SourceMeters,
    live: Arc<Live>,
}

struct Published {
    prefix: String,
    backing: Backing,
    lifetimes: LifetimesConfig,
    ahead: usize,
    tags: Vec<TagRule>,
}

/// A source that lacks what its own playlist names is asked again after this: stores are slow to agree.
const AGAIN: Duration = Duration::from_millis(150);

enum Backing {
    Bucket(Bucket),
    Web(Web),
}

impl Sources {
    /// Opens the source of every service; a directory that cannot be read is an error here, a bucket or a
    /// server that is away is not.
    pub(crate) fn open(
        config: &OriginConfig,
        meters: SourceMeters,
        live: Arc<Live>,
    ) -> Result<Sources, StartError> {
        let timing =
            Timing { connect: CONNECT, first_byte: *config.cache.first_byte, stall: *config.cache.stall };
        let mut services = HashMap::with_capacity(config.service.len());
        for service in &config.service {
            let backing = match &service.source {
                SourceConfig::Dir(path) => Backing::Bucket(Bucket::directory(path, timing)?),
                SourceConfig::S3(s3) => Backing::Bucket(Bucket::s3(s3, timing)?),
                SourceConfig::Http(base) => Backing::Web(Web::new(base, &config.node.id, timing)?),
            };
            let published = Published {
                prefix: service.prefix.clone(),
                backing,
                lifetimes: service.lifetimes.clone(),
                ahead: service.ahead as usize,
                tags: service.tags.clone(),
            };
            services.insert(service.id.clone(), published);
        }
        Ok(Sources(Arc::new(Inner { services, meters, live })))
    }

    /// Whether there is such a service.
    pub(crate) fn knows(&self, service: &str) -> bool {
        self.0.services.contains_key(service)
    }

    /// How many segments of a service are fetched before an edge asks.
    pub(crate) fn ahead(&self, service: &str) -> usize {
        self.0.services.get(service).map_or(0, |service| service.ahead)
    }

    /// The fields that a version of a live playlist is answered with.
    pub(crate) fn dress(&self, key: &Key, version: &Arc<Version>) -> HeaderMap {
        match self.0.services.get(key.service()) {
            Some(service) => lifetimes::dress(version, key.path(), &service.lifetimes),
            None => HeaderMap::new(),
        }
    }

    /// Names and sizes of at most `limit` objects of a service, in order of names. A web server cannot be
    /// listed: none.
    pub(crate) async fn list(
        &self,
        service: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Option<Listed>, SourceError> {
        match self.0.services.get(service).map(|service| &service.backing) {
            Some(Backing::Bucket(bucket)) => bucket.list(prefix, after, limit).await.map(Some),
            Some(Backing::Web(_)) | None => Ok(None),
        }
    }
}

impl Source for Sources {
    async fn fetch(&self, want: Want) -> Result<Fetched, SourceError> {
        self.0.fetch(want, None).await
    }
}

impl Reload for Sources {
    async fn reload(&self, want: Want, next: Wanted, limit: Duration) -> Result<Fetched, SourceError> {
        self.0.fetch(want, Some((next, limit))).await
    }
}

impl Inner {
    /// Answers a wish; with `next`, a server that can wait for it is asked to.
    async fn fetch(&self, mut want: Want, next: Option<(Wanted, Duration)>) -> Result<Fetched, SourceError> {
        let Some(service) = self.services.get(want.key.service()) else {
            return Ok(plain(StatusCode::NOT_FOUND));
        };
        let path = want.key.path().to_owned();
        if !owns(&service.prefix, &path) {
            return Ok(plain(StatusCode::NOT_FOUND));
        }
        if kromka_hls::kind(&path) != Kind::Playlist {
            return self.object(service, &path, &want).await;
        }
        // A playlist's lifetime stands in the playlist, so it is always fetched whole; it is small.
        let head = want.head;
        want.range = None;
        want.pin = None;
        want.head = false;
        let mut fetched = self.ask(service, &path, &want, next).await?;
        if next.is_some() && fetched.status.is_client_error() {
            // A server to which directives make it another name.
            fetched = self.ask(service, &path, &want, None).await?;
        }
        let mut passed = self.live.pass(&want, fetched).await?;
        lifetimes::settle(&mut passed.fetched, &path, &service.lifetimes, &Known::Playlist(&passed.what));
        if head {
            passed.fetched.body = Box::pin(stream::empty());
        }
        Ok(passed.fetched)
    }

    async fn object(&self, service: &Published, path: &str, want: &Want) -> Result<Fetched, SourceError> {
        let part = parts::wish(want);
        let want = part.as_ref().unwrap_or(want);
        let mut fetched = self.ask(service, path, want, None).await?;
        let place = self.live.place(want.key.service(), path);
        let listed = place.as_ref().is_some_and(|place| place.listed.exists());
        if fetched.status == StatusCode::NOT_FOUND && listed {
            tokio::time::sleep(AGAIN).await;
            fetched = self.ask(service, path, want, None).await?;
        }
        let known = match &place {
            Some(place) if part.is_none() && place.is_growing() => Known::Growing,
            place => Known::Object(place.as_ref()),
        };
        if part.is_some() {
            fetched = parts::granted(want, fetched)?;
        }
        lifetimes::settle(&mut fetched, path, &service.lifetimes, &known);
        Ok(fetched)
    }

    async fn ask(
        &self,
        service: &Published,
        path: &str,
        want: &Want,
        next: Option<(Wanted, Duration)>,
    ) -> Result<Fetched, SourceError> {
        let begun = Instant::now();
        let fetched = match &service.backing {
            Backing::Bucket(bucket) => bucket.fetch(path, want).await,
            Backing::Web(web) => web.fetch(want, next).await,
        };
        self.meters.count(want.key.service(), begun, kromka_cache::outcome(&fetched));
        let mut fetched = fetched?;
        fetched.tag(&service.tags, path);
        Ok(fetched)
    }
}

/// `/music` owns `/music` and `/music/a`, not `/musical`; the edges see it the same way.
fn owns(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
