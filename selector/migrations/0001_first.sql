-- The first schema of a selector's state. Times are Unix milliseconds (UTC).

-- Facts about the store itself: feed_id, feed_head, feed_floor.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Signing keys. `secret` is PKCS#8 and never leaves this table but for signing.
CREATE TABLE keys (
    kid        TEXT PRIMARY KEY,
    algorithm  TEXT NOT NULL,
    secret     BLOB NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('published', 'active', 'retired')),
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The ordered log of what nodes must know. `subject` names what an entry is about; of kinds that
-- replace each other (keys, node) only the newest per subject is kept.
CREATE TABLE feed (
    seq     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX feed_subject ON feed (kind, subject);

-- Long work. `body` is the record as JSON; the other columns are what it is searched by.
CREATE TABLE operations (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    state      TEXT NOT NULL,
    open       INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX operations_open ON operations (open) WHERE open = 1;
CREATE INDEX operations_created ON operations (created_ms);

-- Nodes as last heard of, and what an operator has decided about them.
CREATE TABLE nodes (
    id        TEXT PRIMARY KEY,
    drained   INTEGER NOT NULL DEFAULT 0,
    revision  INTEGER NOT NULL DEFAULT 1,
    heard_ms  INTEGER NOT NULL DEFAULT 0,
    gone      INTEGER NOT NULL DEFAULT 0,
    heartbeat TEXT
) STRICT, WITHOUT ROWID;

-- Answers kept for callers that repeat a write.
CREATE TABLE idempotency (
    caller     TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    BLOB NOT NULL,
    started_ms INTEGER NOT NULL,
    status     INTEGER,
    headers    TEXT,
    body       BLOB,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_started ON idempotency (started_ms);

-- Who wrote what.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    caller  TEXT NOT NULL,
    address TEXT NOT NULL,
    action  TEXT NOT NULL,
    status  INTEGER NOT NULL,
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at_ms);
