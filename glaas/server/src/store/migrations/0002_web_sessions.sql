-- Who is signed in on the pages; the digest is of the cookie.
CREATE TABLE web_sessions (
    digest {SORTED_TEXT} PRIMARY KEY,
    fingerprint {SORTED_TEXT} NOT NULL REFERENCES keys (fingerprint),
    created_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL
);

CREATE INDEX web_sessions_by_end ON web_sessions (ends_ms);
