-- Schema version 4: lists and graphs of jobs without reading the jobs themselves, whose documents
-- make them long.

-- What a session's graph and a search for text need of a job. Takes the place of jobs_session.
CREATE INDEX jobs_overview ON jobs (session_id, id, step_number, kind, state, uid, name, argv);
DROP INDEX jobs_session;

-- Clocks jump: the order of jobs is that of their ids, and a time only bounds them.
CREATE INDEX jobs_started ON jobs (started_at_ns);

-- Where a collection was met.
CREATE INDEX job_collections_collection ON job_collections (collection_id);
