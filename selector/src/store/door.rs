//! Opening the store, and what all its methods share.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::{
    Connection, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::watch;

/// The steps from an empty file to the schema of today.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Connections that only read.
const READERS: u32 = 4;

/// Longest wait for a connection or for SQLite's own lock.
const WAIT: Duration = Duration::from_secs(5);

/// What SQLite says of a file that is damaged (SQLITE_CORRUPT) or no database (SQLITE_NOTADB).
const DAMAGED: [&str; 2] = ["11", "26"];

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// The folder or the file cannot be made or written.
    #[error("the store {path} cannot be opened: {source}; make its folder writable for this user or set store.path", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it: two would number the feed and follow operations without knowing of each other.
    #[error("the store {path} belongs to a selector that is running; stop that one first, or give this one a store.path of its own", path = path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and cannot be used.
    #[error("the store {path} cannot be used: {source}; it is no database or damaged: put a backup in its place, or move it away to begin anew", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// SQLite refused.
    #[error("the store failed to {what}: {source}")]
    Query {
        /// What was being done, as a verb.
        what: &'static str,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("the store {path} has a schema that this version cannot bring up to date: {source}; run the version that wrote it, or put a backup in its place", path = path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Which step, and why.
        source: sqlx::migrate::MigrateError,
    },
    /// A row holds what this version cannot read.
    #[error(
        "the store cannot be understood ({what}): {source}; a newer version may have written it: run that one, or put a backup in its place"
    )]
    Unreadable {
        /// Kind of the row.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

/// The selector's state. A clone is a handle.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// One connection: SQLite has one writer, and waiting here is fairer than its busy loop.
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    pub(super) head: watch::Sender<u64>,
    feed_id: String,
    /// Held as long as it is open, so that it has one selector.
    lock: Arc<File>,
}

impl Store {
    /// Opens the file, making it and its folder if they are missing, and brings its schema up to date. The file is
    /// readable by its owner only, since it holds signing keys.
    ///
    /// # Errors
    /// When the file cannot be made, belongs to a process that is running, is no database, or comes from a newer version.
    pub(crate) async fn open(path: &Path) -> Result<Store, StoreError> {
        let lock = prepare(path).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        let lock = Arc::new(lock.ok_or_else(|| StoreError::Taken { path: path.to_owned() })?);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(WAIT);
        let pool = |connections: u32| {
            SqlitePoolOptions::new().max_connections(connections).acquire_timeout(WAIT).idle_timeout(None)
        };
        let opened = |source: sqlx::Error| match source.as_database_error().and_then(|error| error.code()) {
            Some(code) if DAMAGED.contains(&&*code) => StoreError::Damaged { path: path.to_owned(), source },
            _ => StoreError::Open { path: path.to_owned(), source: io::Error::other(source) },
        };
        let writer = pool(1).after_release(|connection, _| Box::pin(is_clean(connection)));
        let writer = writer.connect_with(options.clone()).await.map_err(opened)?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await.map_err(opened)?;
        let (feed_id, head) = first_facts(&writer).await.map_err(failed("read its own facts"))?;
        Ok(Store { writer, readers, head: watch::Sender::new(head), feed_id, lock })
    }

    /// Names this store. A node that sees another name starts its feed over.
    pub(crate) fn feed_id(&self) -> &str {
        &self.feed_id
    }

    /// Closes the file after what is in progress, and leaves it to others.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the store's lock is kept until this process ends");
        }
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin().await.map_err(failed("begin a transaction"))
    }
}

/// Whether a connection may be used again. A full disk ends a transaction by itself, behind the back of who would roll it
/// back; what came after it on that connection would be answered as written and never be committed.
async fn is_clean(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // The answer comes after a rollback that is still to be done.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Makes what is missing, and locks a file beside it; none if another process has done so. Not the file itself: that has
/// SQLite's own locks, which some file systems do not keep apart from this one.
fn prepare(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let make = |path: &Path| OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let lock = make(Path::new(&beside))?;
    match lock.try_lock() {
        Ok(()) => make(path).map(|_| Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The store's name and the head of its feed, made up on the first start. A fresh feed begins at the Unix time in
/// milliseconds, so that fences still grow when a store is lost and replaced.
async fn first_facts(writer: &SqlitePool) -> Result<(String, u64), sqlx::Error> {
    let mut transaction = writer.begin().await?;
    let fresh = [("feed_id", uuid::Uuid::now_v7().to_string()), ("feed_head", now_ms().to_string())];
    for (name, value) in fresh {
        sqlx::query("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(value)
            .execute(&mut *transaction)
            .await?;
    }
    let fact = "SELECT value FROM meta WHERE name = ?";
    let id: String = sqlx::query_scalar(fact).bind("feed_id").fetch_one(&mut *transaction).await?;
    let head: String = sqlx::query_scalar(fact).bind("feed_head").fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    let head = head.parse().map_err(|_| sqlx::Error::Decode("meta.feed_head is not a number".into()))?;
    Ok((id, head))
}

/// Wraps what SQLite says with what was being done.
pub(super) fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Query { what, source }
}

/// Wraps a row that cannot be read.
pub(super) fn unreadable(what: &'static str) -> impl Fn(serde_json::Error) -> StoreError {
    move |source| StoreError::Unreadable { what, source }
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64)
}
