-- Which history the database is a copy of, how each dataset lay when it was filled, and in which table.
ALTER TABLE opsd.store ADD COLUMN checksum text;
ALTER TABLE opsd.datasets ADD COLUMN layout text, ADD COLUMN table_name text;

-- The datasets' tables that opsd made, and may take away again.
CREATE TABLE opsd.made_tables (name text PRIMARY KEY);
