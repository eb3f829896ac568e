-- Repositories with entries of the catalog: pinned to the commit that a person took, with what its files said.
CREATE TABLE entry_sources (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    branch TEXT NOT NULL,
    path TEXT,
    signers TEXT,
    credential_sealed TEXT,
    made_at BIGINT NOT NULL,
    made_by TEXT NOT NULL,
    -- What was taken last, by whom and when; nothing yet.
    commit_id TEXT,
    taken_at BIGINT CHECK ((taken_at IS NULL) = (commit_id IS NULL)),
    taken_by TEXT CHECK ((taken_by IS NULL) = (commit_id IS NULL))
);
-- What entries say, each text once.
CREATE TABLE entry_revisions (
    hash TEXT NOT NULL PRIMARY KEY,
    content TEXT NOT NULL,
    kept_at BIGINT NOT NULL
);
-- The files of what was taken.
CREATE TABLE entry_source_files (
    source_id TEXT NOT NULL,
    path TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (source_id, path)
);
-- The text that an app was made from; apps of before follow their id in the catalog.
ALTER TABLE apps ADD COLUMN entry_hash TEXT;
