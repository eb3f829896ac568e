-- On SQLite a key of BIGINT or of several columns is a tree of its own beside the table, so that each row was written
-- twice. What is written the most, and is referred to by no other table, becomes one tree.

ALTER TABLE ports RENAME TO old_ports;
CREATE TABLE ports (
    port INTEGER NOT NULL PRIMARY KEY CHECK (port BETWEEN 1 AND 65535),
    side TEXT NOT NULL CHECK (side IN ('public', 'internal')),
    app_id TEXT REFERENCES apps (id),
    freed_at BIGINT,
    rests_until BIGINT,
    CHECK ((app_id IS NULL) = (freed_at IS NOT NULL)),
    CHECK (rests_until IS NULL OR freed_at IS NOT NULL)
);
INSERT INTO ports (port, side, app_id, freed_at, rests_until)
    SELECT port, side, app_id, freed_at, rests_until FROM old_ports ORDER BY port;
DROP TABLE old_ports;
CREATE UNIQUE INDEX ports_held ON ports (app_id, side) WHERE app_id IS NOT NULL;
CREATE INDEX ports_free ON ports (side, freed_at, port) WHERE app_id IS NULL AND rests_until IS NULL;
CREATE INDEX ports_resting ON ports (side, freed_at, port) WHERE rests_until IS NOT NULL;
CREATE INDEX ports_resting_until ON ports (side, rests_until) WHERE rests_until IS NOT NULL;

ALTER TABLE unused_ports RENAME TO old_unused_ports;
CREATE TABLE unused_ports (
    first_port INTEGER NOT NULL PRIMARY KEY CHECK (first_port BETWEEN 1 AND 65535),
    last_port BIGINT NOT NULL CHECK (last_port BETWEEN first_port AND 65535)
);
INSERT INTO unused_ports (first_port, last_port)
    SELECT first_port, last_port FROM old_unused_ports ORDER BY first_port;
DROP TABLE old_unused_ports;

ALTER TABLE steps RENAME TO old_steps;
CREATE TABLE steps (
    operation_id TEXT NOT NULL REFERENCES operations (id),
    step_index BIGINT NOT NULL CHECK (step_index >= 0),
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'succeeded', 'failed', 'undo_started',
        'undo_finished', 'undo_failed')),
    epoch BIGINT NOT NULL CHECK (epoch > 0),
    intent TEXT NOT NULL,
    upid TEXT,
    output TEXT,
    failure TEXT,
    started_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (operation_id, step_index)
) WITHOUT ROWID;
INSERT INTO steps (operation_id, step_index, name, state, epoch, intent, upid, output, failure, started_at, changed_at)
    SELECT operation_id, step_index, name, state, epoch, intent, upid, output, failure, started_at, changed_at FROM old_steps ORDER BY operation_id, step_index;
DROP TABLE old_steps;

ALTER TABLE log_lines RENAME TO old_log_lines;
CREATE TABLE log_lines (
    seq INTEGER NOT NULL PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    operation_id TEXT REFERENCES operations (id),
    at BIGINT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    step TEXT,
    message TEXT NOT NULL,
    percent BIGINT CHECK (percent BETWEEN 0 AND 100)
);
INSERT INTO log_lines (seq, app_id, operation_id, at, level, step, message, percent)
    SELECT seq, app_id, operation_id, at, level, step, message, percent FROM old_log_lines ORDER BY seq;
DROP TABLE old_log_lines;
CREATE INDEX log_lines_by_app ON log_lines (app_id, seq);

ALTER TABLE events RENAME TO old_events;
CREATE TABLE events (
    seq INTEGER NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    app_id TEXT,
    operation_id TEXT
);
INSERT INTO events (seq, at, kind, body, app_id, operation_id)
    SELECT seq, at, kind, body, app_id, operation_id FROM old_events ORDER BY seq;
DROP TABLE old_events;
CREATE TRIGGER events_are_not_altered BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are not altered');
END;

ALTER TABLE audit RENAME TO old_audit;
CREATE TABLE audit (
    seq INTEGER NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    account TEXT NOT NULL,
    token_id TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('request', 'mutation')),
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details TEXT NOT NULL,
    operation_id TEXT,
    step_index BIGINT,
    epoch BIGINT,
    CHECK ((kind = 'mutation') = (step_index IS NOT NULL)),
    CHECK (kind = 'request' OR (operation_id IS NOT NULL AND epoch IS NOT NULL))
);
INSERT INTO audit (seq, at, account, token_id, kind, action, target, details, operation_id, step_index, epoch)
    SELECT seq, at, account, token_id, kind, action, target, details, operation_id, step_index, epoch FROM old_audit ORDER BY seq;
DROP TABLE old_audit;
CREATE INDEX audit_by_step ON audit (operation_id, step_index) WHERE step_index IS NOT NULL;
CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are not altered');
END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are not removed');
END;
