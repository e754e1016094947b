DROP TABLE opsd.digests;
DROP TABLE opsd.datasets;
DROP TABLE opsd.store;
