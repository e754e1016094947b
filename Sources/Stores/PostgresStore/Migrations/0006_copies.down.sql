DROP TABLE opsd.made_tables;
ALTER TABLE opsd.datasets DROP COLUMN table_name, DROP COLUMN layout;
ALTER TABLE opsd.store DROP COLUMN checksum;
