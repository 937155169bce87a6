-- Blobs that list members of collections, and who the members are.
CREATE TABLE listings (
    id BIGINT PRIMARY KEY,
    digest {SORTED_TEXT} NOT NULL UNIQUE
);

CREATE TABLE listing_members (
    hash {SORTED_TEXT} NOT NULL,
    listing_id BIGINT NOT NULL,
    PRIMARY KEY (hash, listing_id)
) {CLUSTERED};

-- The pages of a job's collections in order; role as in links.
CREATE TABLE job_listings (
    job_id BIGINT NOT NULL,
    role BIGINT NOT NULL,
    collection {SORTED_TEXT} NOT NULL,
    position BIGINT NOT NULL,
    digest {SORTED_TEXT} NOT NULL,
    files BIGINT NOT NULL,
    PRIMARY KEY (job_id, role, collection, position)
) {CLUSTERED};

CREATE INDEX job_listings_by_digest ON job_listings (digest, role, job_id);
CREATE INDEX job_listings_by_collection ON job_listings (collection, job_id);
