-- opsd's own tables. What the database is a copy of, and how far.
CREATE TABLE opsd.store (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    journal text,
    applied bigint NOT NULL
);
INSERT INTO opsd.store (applied) VALUES (0);

-- Every dataset that has had a table here; whole: filled up to opsd.store.applied.
CREATE TABLE opsd.datasets (
    dataset text COLLATE "C" PRIMARY KEY,
    is_whole boolean NOT NULL
);

CREATE TABLE opsd.digests (
    dataset text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    sum bytea NOT NULL CHECK (octet_length(sum) = 16),
    count bigint NOT NULL,
    PRIMARY KEY (dataset, account)
);
