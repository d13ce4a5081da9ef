-- What operators decide about routing. Times are Unix milliseconds (UTC).

-- Tables that are replaced as a whole (zones, costs), each under its revision, the `ETag`.
CREATE TABLE decisions (
    name     TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Planned work. `body` is the window as JSON; the other column is what it is trimmed by.
CREATE TABLE maintenance (
    id      TEXT PRIMARY KEY,
    ends_ms INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX maintenance_ends ON maintenance (ends_ms);
