-- Schema version 1. Append-only: a released migration is never edited (see SCHEMA_CHANGES.md).
--
-- Conventions. Times ending in _ns are wall-clock nanoseconds since the Unix epoch and serve for
-- display only: the order of jobs is the order of their ids. Digests are raw bytes. Paths and
-- working directories are TEXT when they are valid UTF-8 and BLOB otherwise, so that every byte
-- is kept. Columns that hold JSON documents say so; a document is {"version": N, "value": …}.

-- "roar" in ASCII: tells a roar database from any other SQLite file.
PRAGMA application_id = 0x726f6172;

CREATE TABLE sessions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at_ns INTEGER NOT NULL,
    active        INTEGER NOT NULL CHECK (active IN (0, 1))
) STRICT;

-- At most one session takes new jobs.
CREATE UNIQUE INDEX sessions_active ON sessions (active) WHERE active = 1;

-- A step is a place in a session's sequence; its jobs are its executions.
-- identity is the BLAKE3 digest of the identity text, which may name a million paths.
CREATE TABLE steps (
    id         INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL CHECK (number > 0),
    kind       TEXT NOT NULL CHECK (kind IN ('run', 'build')),
    identity   BLOB NOT NULL,
    UNIQUE (session_id, number),
    UNIQUE (session_id, kind, identity)
) STRICT;

-- Machines as jobs met them; one row serves every job that saw the same facts.
CREATE TABLE hosts (
    id    INTEGER PRIMARY KEY,
    facts TEXT NOT NULL UNIQUE          -- JSON document
) STRICT;

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    uid           TEXT NOT NULL UNIQUE,
    session_id    INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    step_number   INTEGER NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('run', 'build')),
    state         TEXT NOT NULL CHECK (state IN ('done', 'lost')),
    name          TEXT,
    argv          TEXT NOT NULL,        -- JSON array of strings; not UTF-8: {"escaped", "base64"}
    cwd           ANY NOT NULL,
    started_at_ns INTEGER NOT NULL,
    duration_ns   INTEGER,              -- monotonic clock
    exit_code     INTEGER,
    signal        INTEGER,
    interrupted   INTEGER NOT NULL CHECK (interrupted IN (0, 1)),
    complete      INTEGER NOT NULL CHECK (complete IN (0, 1)),
    input_count   INTEGER NOT NULL,
    output_count  INTEGER NOT NULL,
    completeness  TEXT NOT NULL,        -- JSON document
    git           TEXT,                 -- JSON document
    host_id       INTEGER NOT NULL REFERENCES hosts (id)
) STRICT;

-- Each gives jobs in the order of their ids without sorting.
CREATE INDEX jobs_session ON jobs (session_id);
CREATE INDEX jobs_step ON jobs (session_id, step_number);

-- The few that did not succeed; a query must repeat the condition to use it.
CREATE INDEX jobs_failed ON jobs (id)
    WHERE state <> 'done' OR exit_code IS NOT 0 OR signal IS NOT NULL;

-- Content. One content has one artifact, whatever its paths.
CREATE TABLE artifacts (
    id            INTEGER PRIMARY KEY,
    blake3        BLOB NOT NULL UNIQUE,
    size_bytes    INTEGER,
    first_seen_ns INTEGER NOT NULL
) STRICT;

-- Digests other than BLAKE3.
CREATE TABLE artifact_hashes (
    artifact_id INTEGER NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
    algorithm   TEXT NOT NULL,
    digest      BLOB NOT NULL,
    PRIMARY KEY (artifact_id, algorithm)
) STRICT, WITHOUT ROWID;

CREATE INDEX artifact_hashes_digest ON artifact_hashes (digest);

-- Absolute paths, each stored once.
CREATE TABLE paths (
    id   INTEGER PRIMARY KEY,
    path ANY NOT NULL UNIQUE
) STRICT;

-- Inputs (role 0) and outputs (role 1) of jobs, in recorded order.
-- basis: 0 read, 1 written, 2 mapped, 3 executed, 4 opened.
CREATE TABLE job_files (
    job_id      INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    role        INTEGER NOT NULL CHECK (role IN (0, 1)),
    position    INTEGER NOT NULL,
    path_id     INTEGER NOT NULL REFERENCES paths (id),
    artifact_id INTEGER REFERENCES artifacts (id),  -- none: the content could not be hashed
    size_bytes  INTEGER,
    basis       INTEGER NOT NULL,
    note        TEXT,
    PRIMARY KEY (job_id, role, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_files_path ON job_files (path_id, role);
CREATE INDEX job_files_artifact ON job_files (artifact_id, role) WHERE artifact_id IS NOT NULL;

-- The settings keys and rules that keep accesses out of inputs and outputs.
CREATE TABLE filter_rules (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Accesses that a filter kept out. access: 0 read, 1 write, 2 both, 3 temporary.
CREATE TABLE job_filtered (
    job_id   INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    path_id  INTEGER NOT NULL REFERENCES paths (id),
    access   INTEGER NOT NULL,
    rule_id  INTEGER NOT NULL REFERENCES filter_rules (id),
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

-- Digests of file states: valid only while size, mtime and ctime are all as stored.
-- One row a file; a file's newer state replaces the older one.
CREATE TABLE hash_cache (
    device     INTEGER NOT NULL,
    inode      INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    ctime_ns   INTEGER NOT NULL,
    blake3     BLOB,
    sha256     BLOB,
    sha512     BLOB,
    md5        BLOB,
    PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID;

-- Trees of artifacts that are one thing. blake3 is the hash over members (model::Collection).
CREATE TABLE collections (
    id     INTEGER PRIMARY KEY,
    blake3 BLOB NOT NULL UNIQUE,
    name   TEXT NOT NULL
) STRICT;

-- Members by their path below the collection's folder.
CREATE TABLE collection_members (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    path          ANY NOT NULL,
    artifact_id   INTEGER NOT NULL REFERENCES artifacts (id),
    PRIMARY KEY (collection_id, path)
) STRICT, WITHOUT ROWID;

-- Collections that jobs consumed (role 0) or produced (role 1), and in which folder.
CREATE TABLE job_collections (
    job_id        INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    role          INTEGER NOT NULL CHECK (role IN (0, 1)),
    folder        ANY NOT NULL,
    collection_id INTEGER NOT NULL REFERENCES collections (id),
    PRIMARY KEY (job_id, role, folder)
) STRICT, WITHOUT ROWID;
