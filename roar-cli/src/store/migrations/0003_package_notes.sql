-- Schema version 3: what was learned from package databases.

-- Valid only while the database (a file or a folder) is in the state that is noted. A cache: any
-- row may go at any time.
CREATE TABLE package_notes (
    source   ANY NOT NULL PRIMARY KEY,  -- path of the package database
    state    TEXT NOT NULL,
    document TEXT NOT NULL              -- JSON, of capture::packages alone
) STRICT, WITHOUT ROWID;
