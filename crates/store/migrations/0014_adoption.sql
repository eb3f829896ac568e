-- Adoption: its kinds of operations, what was read on the day, and whether its ports are open.

-- Whether the gateway listens on the app's ports: an adopted app's wait until a person exposes it.
ALTER TABLE apps ADD COLUMN exposed BIGINT NOT NULL DEFAULT 1 CHECK (exposed IN (0, 1));

-- SQLite changes a CHECK by a new table. The tables that refer to it go on referring to its name.
PRAGMA legacy_alter_table = ON;
ALTER TABLE operations RENAME TO old_operations;
CREATE TABLE operations (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('deploy', 'start', 'stop', 'restart', 'remove', 'adopt', 'forget')),
    app_id TEXT NOT NULL REFERENCES apps (id),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'unwinding', 'succeeded', 'failed',
        'cancelled', 'stuck')),
    state_full TEXT NOT NULL,
    input TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    retry_of TEXT REFERENCES operations (id),
    status_before TEXT,
    percent BIGINT NOT NULL CHECK (percent BETWEEN 0 AND 100),
    cancel_requested BIGINT NOT NULL CHECK (cancel_requested IN (0, 1)),
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    lease_holder TEXT,
    lease_until BIGINT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    lease_ms BIGINT,
    attempt BIGINT NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    due_at BIGINT,
    waits_because TEXT,
    log_lines BIGINT NOT NULL DEFAULT 0,
    request_id TEXT,
    CHECK ((lease_holder IS NULL) = (lease_until IS NULL)),
    CHECK (lease_holder IS NULL OR state IN ('running', 'unwinding')),
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'running', 'unwinding', 'stuck')))
);
INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, retry_of, status_before, percent, cancel_requested, epoch, lease_holder, lease_until, created_at, finished_at, lease_ms, attempt, due_at, waits_because, log_lines, request_id)
    SELECT id, kind, app_id, state, state_full, input, requested_by, retry_of, status_before, percent, cancel_requested, epoch, lease_holder, lease_until, created_at, finished_at, lease_ms, attempt, due_at, waits_because, log_lines, request_id FROM old_operations ORDER BY id;
DROP TABLE old_operations;
PRAGMA legacy_alter_table = OFF;
CREATE UNIQUE INDEX operations_live ON operations (app_id)
    WHERE state IN ('queued', 'running', 'unwinding', 'stuck');
CREATE INDEX operations_claimable ON operations (created_at, id)
    WHERE state IN ('queued', 'running', 'unwinding');
CREATE INDEX operations_queued ON operations (id) WHERE state = 'queued';
CREATE INDEX operations_by_age ON operations (created_at, id);
CREATE INDEX operations_by_app ON operations (app_id, created_at, id);
CREATE TRIGGER operations_epoch_never_falls BEFORE UPDATE OF epoch ON operations
WHEN NEW.epoch < OLD.epoch
BEGIN
    SELECT RAISE(ABORT, 'an epoch never falls');
END;

-- What a step read back where secrets are to be expected: sealed, instead of `output`.
ALTER TABLE steps ADD COLUMN output_sealed TEXT CHECK (output IS NULL OR output_sealed IS NULL);

-- What was read of a container on the day of its adoption. It outlives the app in the archive. Its configuration is sealed:
-- images expect passwords in it.
CREATE TABLE adoptions (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    record TEXT NOT NULL,
    configuration_sealed TEXT NOT NULL,
    adopted_at BIGINT NOT NULL
);

CREATE TRIGGER adoptions_are_not_altered BEFORE UPDATE ON adoptions
BEGIN
    SELECT RAISE(ABORT, 'adoption records are not altered');
END;

CREATE TRIGGER adoptions_are_not_removed BEFORE DELETE ON adoptions
BEGIN
    SELECT RAISE(ABORT, 'adoption records are not removed');
END;
