-- An app is changed in place by an operation of a kind of its own. What it is given beside its input, secrets above all, is
-- sealed, and goes when it has ended.

-- SQLite changes a CHECK by a new table. The tables that refer to it go on referring to its name.
PRAGMA legacy_alter_table = ON;
ALTER TABLE operations RENAME TO old_operations;
CREATE TABLE operations (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('deploy', 'start', 'stop', 'restart', 'remove', 'adopt', 'forget',
        'restore_keys', 'update')),
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
    cleared_at BIGINT CHECK (cleared_at IS NULL OR finished_at IS NOT NULL),
    input_sealed TEXT CHECK (input_sealed IS NULL OR finished_at IS NULL),
    CHECK ((lease_holder IS NULL) = (lease_until IS NULL)),
    CHECK (lease_holder IS NULL OR state IN ('running', 'unwinding')),
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'running', 'unwinding', 'stuck')))
);
INSERT INTO operations (id, kind, app_id, state, state_full, input, requested_by, retry_of, status_before, percent, cancel_requested, epoch, lease_holder, lease_until, created_at, finished_at, lease_ms, attempt, due_at, waits_because, log_lines, request_id, cleared_at)
    SELECT id, kind, app_id, state, state_full, input, requested_by, retry_of, status_before, percent, cancel_requested, epoch, lease_holder, lease_until, created_at, finished_at, lease_ms, attempt, due_at, waits_because, log_lines, request_id, cleared_at FROM old_operations ORDER BY id;
DROP TABLE old_operations;
PRAGMA legacy_alter_table = OFF;
CREATE UNIQUE INDEX operations_live ON operations (app_id)
    WHERE state IN ('queued', 'running', 'unwinding', 'stuck');
CREATE INDEX operations_claimable ON operations (created_at, id)
    WHERE state IN ('queued', 'running', 'unwinding');
CREATE INDEX operations_queued ON operations (id) WHERE state = 'queued';
CREATE INDEX operations_by_age ON operations (created_at, id);
CREATE INDEX operations_by_app ON operations (app_id, created_at, id);
CREATE INDEX operations_uncleared ON operations (finished_at, id)
    WHERE finished_at IS NOT NULL AND cleared_at IS NULL;
CREATE TRIGGER operations_epoch_never_falls BEFORE UPDATE OF epoch ON operations
WHEN NEW.epoch < OLD.epoch
BEGIN
    SELECT RAISE(ABORT, 'an epoch never falls');
END;
