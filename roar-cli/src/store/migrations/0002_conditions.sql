-- Schema version 2: what a job ran under besides its files and its machine.

ALTER TABLE jobs ADD COLUMN conditions TEXT;   -- JSON document; none: recorded before version 2
