DROP FUNCTION opsd.make_audit_partitions(timestamptz, int);
DROP TABLE audit_logs;
