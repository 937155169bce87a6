-- Schema version 7: the parts of a launch are found without reading every job.

ALTER TABLE jobs ADD COLUMN launch TEXT;    -- id of the distributed launch that it is a part of

UPDATE jobs SET launch = json_extract(conditions, '$.value.launch.id')
    WHERE conditions LIKE '%"launch":{%';

CREATE INDEX jobs_launch ON jobs (launch) WHERE launch IS NOT NULL;
