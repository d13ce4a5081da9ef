//! An object store as a source: a local directory or an S3 bucket.
//!
//! The only place that names `object_store` (its errors are read in `fault`). It turns one `Want` of the tier
//! into one request to the store, and the store's answer or error into an HTTP-shaped answer: 200, 206, 304,
//! 404, 416. Lifetimes are not its subject.

use std::path::{Path as FilePath, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, LAST_MODIFIED,
};
use http::{HeaderMap, StatusCode};
use kromka_cache::{Fetched, SourceBody, SourceError, SourceFault, Want};
use kromka_config::S3Source;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Attribute, BackoffConfig, ClientOptions, GetOptions, GetRange, GetResult, GetResultPayload, ObjectStore,
    ObjectStoreExt, RetryConfig,
};

use self::fault::{fault, unranged};
use crate::backing::{Listed, Timing, plain, put};
use crate::error::StartError;
use crate::file;

mod fault;
#[cfg(test)]
mod tests;

/// Times a failed listing is sent again, within the first-byte limit. What the tier fetches is tried again by the
/// tier alone, from its budget and unless the store wants to be left alone.
const LIST_RETRIES: usize = 2;

/// One store and the place in it where a service's tree begins.
pub(crate) struct Bucket {
    store: Store,
    base: String,
    timing: Timing,
}

enum Store {
    /// `root` is canonical: what a file's real path must start with.
    Directory { files: LocalFileSystem, root: PathBuf },
    /// The same bucket twice: they differ in how often they try again.
    S3 { objects: Box<AmazonS3>, lists: Box<AmazonS3> },
}

impl Bucket {
    /// Opens a directory of media. Fails when it is missing or cannot be read, and says which.
    pub(crate) fn directory(path: &FilePath, timing: Timing) -> Result<Bucket, StartError> {
        let unreadable = |error: std::io::Error| StartError::Directory { path: path.into(), error };
        let root = path.canonicalize().map_err(unreadable)?;
        // Read it once: a directory without r-x would otherwise answer 404 to everything.
        std::fs::read_dir(&root).map_err(unreadable)?;
        let files = LocalFileSystem::new_with_prefix(&root).map_err(|error| StartError::Store {
            name: path.display().to_string(),
            why: error.to_string(),
        })?;
        Ok(Bucket { store: Store::Directory { files, root }, base: String::new(), timing })
    }

    /// Prepares an S3 bucket. Nothing is asked of it yet, so that an origin starts while its bucket is away.
    pub(crate) fn s3(s3: &S3Source, timing: Timing) -> Result<Bucket, StartError> {
        let client = ClientOptions::new()
            .with_allow_http(s3.allow_http)
            .with_connect_timeout(timing.connect)
            .with_read_timeout(timing.stall)
            .with_timeout_disabled();
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        };
        let retry = |max_retries| RetryConfig {
            backoff: backoff.clone(),
            max_retries,
            retry_timeout: timing.first_byte,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&s3.bucket)
            .with_region(&s3.region)
            .with_virtual_hosted_style_request(!s3.path_style)
            .with_allow_http(s3.allow_http)
            .with_client_options(client);
        if let Some(endpoint) = &s3.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        builder = match (&s3.access_key, &s3.secret_key) {
            (Some(id), Some(secret)) => {
                builder.with_access_key_id(id).with_secret_access_key(secret.expose())
            }
            _ => builder.with_skip_signature(true),
        };
        if let Some(token) = &s3.session_token {
            builder = builder.with_token(token.expose());
        }
        let store = |retries| {
            builder.clone().with_retry(retry(retries)).build().map(Box::new).map_err(|error| {
                StartError::Store { name: format!("s3://{}", s3.bucket), why: error.to_string() }
            })
        };
        let store = Store::S3 { objects: store(0)?, lists: store(LIST_RETRIES)? };
        Ok(Bucket { store, base: s3.prefix.trim_matches('/').to_owned(), timing })
    }

    /// Answers one wish of the tier for the object `name` (begins with `/`).
    pub(crate) async fn fetch(&self, name: &str, want: &Want) -> Result<Fetched, SourceError> {
        // A store's names have no slash at the end; without this line `/a.ts/` would be `/a.ts`.
        let Some(location) = self.locate(name).filter(|_| !name.ends_with('/')) else {
            return Ok(plain(StatusCode::NOT_FOUND));
        };
        if !self.inside(&location).await? {
            return Ok(plain(StatusCode::NOT_FOUND));
        }
        let mut options = conditions(want);
        let error = match self.get(&location, options.clone()).await? {
            Ok(result) => return self.answer(result, want.range.is_some()),
            Err(error) => error,
        };
        match error {
            object_store::Error::NotFound { .. } => Ok(plain(StatusCode::NOT_FOUND)),
            object_store::Error::NotModified { .. } => Ok(not_modified(want)),
            // The object changed under the tier's pin: answer as If-Range does, whole and with its new name.
            object_store::Error::Precondition { .. } => {
                options.if_match = None;
                options.range = None;
                self.whole(&location, options).await
            }
            error if want.range.is_some() && unranged(&error) => {
                self.resolve(&location, options, error).await
            }
            error => Err(fault(&error)),
        }
    }

    /// Names and sizes of at most `limit` objects whose name begins with `prefix` and sorts after `after`.
    pub(crate) async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Listed, SourceError> {
        // Stores list by whole path segments; the rest of the prefix is compared here.
        let folder = prefix.rfind('/').map_or("", |slash| &prefix[..slash]);
        let folder = self.locate(folder).unwrap_or_default();
        let folder = Some(folder).filter(|folder| !folder.is_root());
        let mut entries = match self.locate(after).filter(|offset| !after.is_empty() && !offset.is_root()) {
            Some(offset) => self.lists().list_with_offset(folder.as_ref(), &offset),
            None => self.lists().list(folder.as_ref()),
        };
        let mut listed = Listed::new(limit);
        while let Some(entry) = within(self.timing.stall, entries.next()).await? {
            let meta = match (entry, &self.store) {
                (Ok(meta), _) => meta,
                // One unreadable or looping folder must not hide the others.
                (Err(error), Store::Directory { .. }) => {
                    tracing::warn!(%error, "a media folder is left out of a listing");
                    continue;
                }
                (Err(error), Store::S3 { .. }) => return Err(fault(&error)),
            };
            let Some(name) = self.name(&meta.location) else { continue };
            if name.starts_with(prefix) && name.as_str() > after {
                listed.insert(name, meta.size);
            }
            // S3 lists in order, so that the first surplus name ends the page; a directory walk has no order.
            if listed.full() && matches!(self.store, Store::S3 { .. }) {
                break;
            }
        }
        Ok(listed)
    }

    fn objects(&self) -> &dyn ObjectStore {
        match &self.store {
            Store::Directory { files, .. } => files,
            Store::S3 { objects, .. } => objects.as_ref(),
        }
    }

    fn lists(&self) -> &dyn ObjectStore {
        match &self.store {
            Store::Directory { files, .. } => files,
            Store::S3 { lists, .. } => lists.as_ref(),
        }
    }

    /// The store's name for a path, none for what no store can hold.
    fn locate(&self, name: &str) -> Option<Path> {
        let name = name.trim_start_matches('/');
        let joined = if self.base.is_empty() { name.to_owned() } else { format!("{}/{name}", self.base) };
        Path::parse(joined).ok()
    }

    /// The reverse of [`Self::locate`].
    fn name(&self, location: &Path) -> Option<String> {
        let rest = location.as_ref().strip_prefix(self.base.as_str())?.trim_start_matches('/');
        (!rest.is_empty()).then(|| format!("/{rest}"))
    }

    /// Whether the name leads to a regular file below the root, links resolved. A bucket has no links.
    async fn inside(&self, location: &Path) -> Result<bool, SourceError> {
        let Store::Directory { files, root } = &self.store else { return Ok(true) };
        let Ok(path) = files.path_to_filesystem(location) else { return Ok(false) };
        let root = root.clone();
        let look = tokio::task::spawn_blocking(move || {
            let real = path.canonicalize()?;
            Ok::<_, std::io::Error>(real.starts_with(root) && real.metadata()?.is_file())
        });
        match look.await {
            Ok(Ok(inside)) => Ok(inside),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(SourceError {
                kind: SourceFault::Refused,
                message: format!("{location} in the media directory: {error}; let the origin's user read it"),
                retry_after: None,
            }),
            // Missing, a file where a folder should be, too long a name, a ring of links: not there.
            Ok(Err(_)) => Ok(false),
            Err(error) => Err(SourceError {
                kind: SourceFault::Broken,
                message: format!("looking for {location}: {error}"),
                retry_after: None,
            }),
        }
    }

    async fn get(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> Result<Result<GetResult, object_store::Error>, SourceError> {
        within(self.timing.first_byte, self.objects().get_opts(location, options)).await
    }

    async fn whole(&self, location: &Path, options: GetOptions) -> Result<Fetched, SourceError> {
        match self.get(location, options).await? {
            Ok(result) => self.answer(result, false),
            Err(object_store::Error::NotFound { .. }) => Ok(plain(StatusCode::NOT_FOUND)),
            Err(error) => Err(fault(&error)),
        }
    }

    /// A range failed. Past the end every store fails in its own words, so the size decides: 416 with the
    /// size, or the whole object where the store just does not do ranges.
    async fn resolve(
        &self,
        location: &Path,
        mut options: GetOptions,
        error: object_store::Error,
    ) -> Result<Fetched, SourceError> {
        let start = match options.range.take() {
            Some(GetRange::Bounded(range)) => range.start,
            _ => return Err(fault(&error)),
        };
        let size = match within(self.timing.first_byte, self.objects().head(location)).await? {
            Ok(meta) => meta.size,
            Err(object_store::Error::NotFound { .. }) => return Ok(plain(StatusCode::NOT_FOUND)),
            Err(_) => return Err(fault(&error)),
        };
        // An empty object has no satisfiable range at all; whole it is, RFC 9110 section 14.2 allows it.
        if size > 0 && start >= size {
            let mut fetched = plain(StatusCode::RANGE_NOT_SATISFIABLE);
            put(&mut fetched.headers, CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(fetched);
        }
        self.whole(location, options).await
    }

    fn answer(&self, result: GetResult, ranged: bool) -> Result<Fetched, SourceError> {
        let mut headers = HeaderMap::with_capacity(8);
        let GetResult { payload, meta, range, attributes, .. } = result;
        let length = range.end.saturating_sub(range.start);
        put(&mut headers, CONTENT_LENGTH, &length.to_string());
        if let Some(etag) = &meta.e_tag {
            put(&mut headers, ETAG, &quoted(etag));
        }
        let modified = SystemTime::from(meta.last_modified);
        if modified > SystemTime::UNIX_EPOCH {
            put(&mut headers, LAST_MODIFIED, &httpdate::fmt_http_date(modified));
        }
        for (attribute, name) in [
            (Attribute::ContentType, CONTENT_TYPE),
            (Attribute::ContentEncoding, CONTENT_ENCODING),
            (Attribute::ContentLanguage, CONTENT_LANGUAGE),
            (Attribute::ContentDisposition, CONTENT_DISPOSITION),
            (Attribute::CacheControl, CACHE_CONTROL),
        ] {
            if let Some(value) = attributes.get(&attribute) {
                put(&mut headers, name, value);
            }
        }
        let status = if ranged {
            put(
                &mut headers,
                CONTENT_RANGE,
                &format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size),
            );
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        let body: SourceBody = match payload {
            GetResultPayload::File(file, path) => {
                Box::pin(file::read(file, range).map_err(|error| SourceError {
                    kind: SourceFault::Broken,
                    message: format!("{}: {error}", path.display()),
                    retry_after: None,
                })?)
            }
            GetResultPayload::Stream(stream) => watched(stream, self.timing.stall),
        };
        Ok(Fetched { status, headers, body })
    }
}

/// The tier's wish in the store's words. A suffix range is never asked for: Azure and others have none.
fn conditions(want: &Want) -> GetOptions {
    let mut options = GetOptions { head: want.head, if_match: want.pin.clone(), ..GetOptions::default() };
    options.range = want.range.clone().map(GetRange::Bounded);
    if let Some(known) = &want.revalidate {
        options.if_none_match = known.etag.clone();
        if known.etag.is_none() {
            let since = known.last_modified.as_deref().and_then(|date| httpdate::parse_http_date(date).ok());
            options.if_modified_since = since.map(Into::into);
        }
    }
    options
}

/// The store says only "not modified"; the validators it agreed to are the ones it was asked about.
fn not_modified(want: &Want) -> Fetched {
    let mut fetched = plain(StatusCode::NOT_MODIFIED);
    if let Some(known) = &want.revalidate {
        for (name, value) in [(ETAG, &known.etag), (LAST_MODIFIED, &known.last_modified)] {
            if let Some(value) = value {
                put(&mut fetched.headers, name, value);
            }
        }
    }
    fetched
}

/// A store's stream with a deadline for every piece.
fn watched(
    stream: stream::BoxStream<'static, object_store::Result<bytes::Bytes>>,
    stall: Duration,
) -> SourceBody {
    Box::pin(stream::unfold(Some(stream), move |open| async move {
        let mut stream = open?;
        match within(stall, stream.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(stream))),
            Ok(Some(Err(error))) => {
                Some((Err(SourceError { kind: SourceFault::Broken, ..fault(&error) }), None))
            }
            Err(late) => Some((Err(late), None)),
        }
    }))
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, SourceError> {
    tokio::time::timeout(limit, work).await.map_err(|_| SourceError {
        kind: SourceFault::TimedOut,
        message: format!("the store sent nothing for {limit:?}"),
        retry_after: None,
    })
}

/// Strong and quoted, as RFC 9110 section 8.8.3 wants it; some S3 imitations forget the quotes.
fn quoted(etag: &str) -> String {
    if etag.starts_with('"') || etag.starts_with("W/") { etag.to_owned() } else { format!("\"{etag}\"") }
}
