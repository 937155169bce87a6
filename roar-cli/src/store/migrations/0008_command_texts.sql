-- Schema version 8: the commands of all jobs in a few rows, to look for a text in them: reading a
-- hundred thousand rows takes longer than reading their text.

-- Names and commands of 64 jobs each: of every job its id, its name and its argv, both as JSON with
-- small ASCII letters. JSON has no control characters: 31 ends a field, 30 a job.
CREATE TABLE command_texts (
    chunk INTEGER PRIMARY KEY,          -- job id / 64
    texts TEXT NOT NULL
) STRICT;

INSERT INTO command_texts (chunk, texts)
    SELECT id / 64, group_concat(
        id || char(31) || lower(json_quote(name)) || char(31) || lower(argv) || char(30), '')
    FROM (SELECT id, name, argv FROM jobs ORDER BY id) GROUP BY id / 64;

CREATE TRIGGER command_texts_insert AFTER INSERT ON jobs BEGIN
    INSERT INTO command_texts (chunk, texts) VALUES (new.id / 64,
        new.id || char(31) || lower(json_quote(new.name)) || char(31) || lower(new.argv) || char(30))
    ON CONFLICT (chunk) DO UPDATE SET texts = texts || excluded.texts;
END;

-- Of a job that is taken back, no text stays.
CREATE TRIGGER command_texts_delete AFTER DELETE ON jobs BEGIN
    DELETE FROM command_texts WHERE chunk = old.id / 64;
    INSERT INTO command_texts (chunk, texts)
        SELECT old.id / 64, group_concat(
            id || char(31) || lower(json_quote(name)) || char(31) || lower(argv) || char(30), '')
        FROM (SELECT id, name, argv FROM jobs
              WHERE id >= old.id / 64 * 64 AND id < (old.id / 64 + 1) * 64 ORDER BY id)
        HAVING count(*) > 0;
END;
