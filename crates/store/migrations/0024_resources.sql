-- Resources of the clusters as they were observed, and what each was from which moment on. The state of a resource is in its newest
-- snapshot, which stays.

CREATE TABLE resources (
    id TEXT NOT NULL PRIMARY KEY,
    host_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('container', 'node', 'storage', 'task', 'vm')),
    item TEXT NOT NULL,
    name TEXT,
    status TEXT NOT NULL,
    listed_digest TEXT NOT NULL,
    seq BIGINT NOT NULL,
    oldest_seq BIGINT NOT NULL CHECK (oldest_seq BETWEEN 1 AND seq),
    first_seen_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    gone_at BIGINT,
    UNIQUE (host_id, kind, item)
);
-- Those that Proxmox VE lists for a while only, for they are cleared away by age.
CREATE INDEX resources_tasks ON resources (changed_at, id) WHERE kind = 'task';

CREATE TABLE snapshots (
    resource_id TEXT NOT NULL REFERENCES resources (id),
    seq BIGINT NOT NULL CHECK (seq >= 1),
    at BIGINT NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('created', 'deleted', 'discovered', 'updated')),
    state TEXT NOT NULL,
    PRIMARY KEY (resource_id, seq)
);
-- What ended first, to be cleared away.
CREATE INDEX snapshots_by_age ON snapshots (at) WHERE seq > 1;
