-- Plans that are carried out, what is wanted of each app since then, and the secrets that settings stand for.

-- A plan is applied once at most, from what its documents said of each app: JSON, sealed, for values may be private.
ALTER TABLE plans ADD COLUMN applied_at BIGINT;
ALTER TABLE plans ADD COLUMN documents_sealed TEXT;

-- Its claim is as that of an operation. The newest of each account stay, with their changes.
CREATE TABLE applies (
    id TEXT NOT NULL PRIMARY KEY,
    plan_id TEXT NOT NULL UNIQUE,
    asked_by TEXT NOT NULL,
    token_id TEXT,
    state TEXT NOT NULL CHECK (state IN ('running', 'stopping', 'done', 'failed', 'stopped')),
    parallel BIGINT NOT NULL CHECK (parallel BETWEEN 1 AND 32),
    stopped_by TEXT,
    epoch BIGINT NOT NULL,
    lease_holder TEXT,
    lease_until BIGINT,
    lease_ms BIGINT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    why TEXT,
    CHECK ((lease_holder IS NULL) = (lease_until IS NULL)),
    CHECK ((ended_at IS NULL) = (state IN ('running', 'stopping'))),
    CHECK (ended_at IS NULL OR lease_holder IS NULL)
);
CREATE INDEX applies_open ON applies (started_at, id) WHERE ended_at IS NULL;

CREATE TABLE apply_changes (
    apply_id TEXT NOT NULL REFERENCES applies (id),
    position BIGINT NOT NULL CHECK (position >= 0),
    name TEXT NOT NULL,
    layer BIGINT NOT NULL,
    depends_on TEXT NOT NULL,
    act TEXT NOT NULL CHECK (act IN ('create', 'update', 'replace', 'adopt', 'forget', 'destroy', 'no_op')),
    app_id TEXT,
    request_key TEXT NOT NULL,
    spec_sealed TEXT,
    secrets TEXT NOT NULL,
    operation_id TEXT,
    state TEXT NOT NULL
        CHECK (state IN ('waiting', 'started', 'done', 'failed', 'held_up', 'not_started', 'quiet')),
    why TEXT,
    started_at BIGINT,
    ended_at BIGINT,
    PRIMARY KEY (apply_id, position)
);
CREATE INDEX apply_changes_open ON apply_changes (apply_id, position) WHERE state IN ('waiting', 'started');

-- What is wanted of each app: all revisions, the newest counts. Without a spec nothing is wanted any more.
CREATE TABLE desired (
    name TEXT NOT NULL,
    revision BIGINT NOT NULL CHECK (revision >= 1),
    app_id TEXT,
    spec_sealed TEXT,
    depends_on TEXT NOT NULL,
    secrets TEXT NOT NULL,
    apply_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    applied_by TEXT NOT NULL,
    PRIMARY KEY (name, revision)
);
CREATE INDEX desired_apps ON desired (app_id);

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value_sealed TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version >= 1)
);
