-- Schema version 6: what was learned of package databases is kept for the user now, not for the project.

DROP TABLE package_notes;
