-- What was told, so that it is told once: a kind of alarm more, and which suspicions were told of with others alone.

-- SQLite changes a CHECK by a new table. Nothing refers to this one.
PRAGMA legacy_alter_table = ON;
ALTER TABLE identity_alarms RENAME TO old_identity_alarms;
CREATE TABLE identity_alarms (
    guest_id TEXT NOT NULL REFERENCES guests (id),
    kind TEXT NOT NULL CHECK (kind IN ('conflict', 'pool', 'twin')),
    host_id TEXT NOT NULL,
    vmid BIGINT NOT NULL CHECK (vmid BETWEEN 100 AND 999999999),
    why TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (guest_id, kind, host_id, vmid)
);
INSERT INTO identity_alarms (guest_id, kind, host_id, vmid, why, since)
    SELECT guest_id, kind, host_id, vmid, why, since FROM old_identity_alarms;
DROP TABLE old_identity_alarms;
PRAGMA legacy_alter_table = OFF;

-- Whether it was told of with others, and not by itself yet.
ALTER TABLE suspicions ADD COLUMN among_many BIGINT NOT NULL DEFAULT 0 CHECK (among_many IN (0, 1));
