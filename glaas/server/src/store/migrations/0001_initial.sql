CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    name {SORTED_TEXT} NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL
);

INSERT INTO users (id, name, created_ms) VALUES (0, 'anonymous', 0);

CREATE TABLE keys (
    fingerprint {SORTED_TEXT} PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id),
    algorithm TEXT NOT NULL,
    public_key TEXT NOT NULL,
    comment TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT
);

CREATE INDEX keys_by_user ON keys (user_id);

-- Digests of signatures that were used, until their time is over.
CREATE TABLE seen_requests (
    digest {SORTED_TEXT} PRIMARY KEY,
    first_ms BIGINT NOT NULL
);

CREATE INDEX seen_requests_by_age ON seen_requests (first_ms);

-- The same hash may be registered by several users; each has a session of their own.
CREATE TABLE sessions (
    id BIGINT PRIMARY KEY,
    owner_id BIGINT NOT NULL REFERENCES users (id),
    hash {SORTED_TEXT} NOT NULL,
    git_repo TEXT,
    git_commit TEXT,
    git_branch TEXT,
    public BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    UNIQUE (owner_id, hash)
);

CREATE INDEX sessions_by_hash ON sessions (hash);

-- owner_id and public repeat the session's, so that a search decides without it.
CREATE TABLE jobs (
    id BIGINT PRIMARY KEY,
    session_id BIGINT NOT NULL REFERENCES sessions (id),
    owner_id BIGINT NOT NULL,
    public BIGINT NOT NULL,
    uid {SORTED_TEXT} NOT NULL,
    kind TEXT NOT NULL,
    command TEXT NOT NULL,
    name TEXT,
    started_s DOUBLE PRECISION NOT NULL,
    duration_s DOUBLE PRECISION,
    exit_code BIGINT,
    step BIGINT,
    parent_step BIGINT,
    git_repo TEXT,
    git_commit TEXT,
    git_branch TEXT,
    host TEXT,
    gpu TEXT,
    complete BIGINT,
    metadata TEXT,
    created_ms BIGINT NOT NULL,
    UNIQUE (session_id, uid)
);

CREATE INDEX jobs_by_uid ON jobs (uid);

-- Words of a job ('train') and of its fields ('host:node7', 'exit:failed'), see store::terms.
CREATE TABLE job_terms (
    term {SORTED_TEXT} NOT NULL,
    job_id BIGINT NOT NULL,
    PRIMARY KEY (term, job_id)
) {CLUSTERED};

-- A content, whoever has it.
CREATE TABLE artifacts (
    id BIGINT PRIMARY KEY,
    hash {SORTED_TEXT} NOT NULL UNIQUE,
    algorithm TEXT NOT NULL
);

-- What one session says of a content. Nothing is shared between owners.
CREATE TABLE registrations (
    id BIGINT PRIMARY KEY,
    session_id BIGINT NOT NULL REFERENCES sessions (id),
    artifact_id BIGINT NOT NULL REFERENCES artifacts (id),
    owner_id BIGINT NOT NULL,
    public BIGINT NOT NULL,
    size BIGINT,
    source_type TEXT,
    source_url TEXT,
    metadata TEXT,
    path TEXT,
    created_ms BIGINT NOT NULL,
    UNIQUE (session_id, artifact_id)
);

CREATE INDEX registrations_by_artifact ON registrations (artifact_id);
CREATE INDEX registrations_by_size ON registrations (size);

CREATE TABLE registration_hashes (
    digest {SORTED_TEXT} NOT NULL,
    algorithm {SORTED_TEXT} NOT NULL,
    registration_id BIGINT NOT NULL,
    PRIMARY KEY (digest, algorithm, registration_id)
) {CLUSTERED};

CREATE INDEX registration_hashes_by_registration ON registration_hashes (registration_id);

CREATE TABLE registration_terms (
    term {SORTED_TEXT} NOT NULL,
    registration_id BIGINT NOT NULL,
    PRIMARY KEY (term, registration_id)
) {CLUSTERED};

-- role 0: input, role 1: output.
CREATE TABLE links (
    job_id BIGINT NOT NULL,
    role BIGINT NOT NULL,
    artifact_id BIGINT NOT NULL,
    path {SORTED_TEXT} NOT NULL,
    position BIGINT NOT NULL,
    size BIGINT,
    raw_path TEXT,
    basis TEXT,
    note TEXT,
    PRIMARY KEY (job_id, role, artifact_id, path)
) {CLUSTERED};

CREATE INDEX links_by_artifact ON links (artifact_id, role, job_id);

CREATE TABLE blobs (
    digest {SORTED_TEXT} PRIMARY KEY,
    content {BYTES} NOT NULL
);

CREATE TABLE blob_owners (
    digest {SORTED_TEXT} NOT NULL,
    owner_id BIGINT NOT NULL,
    PRIMARY KEY (digest, owner_id)
) {CLUSTERED};

CREATE TABLE blob_references (
    digest {SORTED_TEXT} NOT NULL,
    job_id BIGINT NOT NULL,
    PRIMARY KEY (digest, job_id)
) {CLUSTERED};

-- Registrations of the newer client: all goes to a session of their own until it is final.
CREATE TABLE uploads (
    id {SORTED_TEXT} PRIMARY KEY,
    owner_id BIGINT NOT NULL,
    client_id {SORTED_TEXT},
    mode TEXT,
    token_digest {SORTED_TEXT} NOT NULL UNIQUE,
    session_id BIGINT NOT NULL,
    final_hash TEXT,
    created_ms BIGINT NOT NULL
);

CREATE INDEX uploads_by_client ON uploads (owner_id, client_id);

CREATE TABLE labels (
    id BIGINT PRIMARY KEY,
    owner_id BIGINT NOT NULL,
    public BIGINT NOT NULL,
    entity_type {SORTED_TEXT} NOT NULL,
    entity_id {SORTED_TEXT} NOT NULL,
    document TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE INDEX labels_by_entity ON labels (entity_type, entity_id, owner_id, id);
