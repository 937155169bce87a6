-- Schema version 5: what has arrived at lineage servers.

-- Parts of a session that a server has taken. A row may be lost: the part is then sent again, and
-- changes nothing.
CREATE TABLE registrations (
    server     TEXT NOT NULL,           -- its address
    session    TEXT NOT NULL,           -- the session's hash there
    part       TEXT NOT NULL,           -- which part of it; 'whole' when all have arrived
    arrived_ns INTEGER NOT NULL,
    PRIMARY KEY (server, session, part)
) STRICT, WITHOUT ROWID;
