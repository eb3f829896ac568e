-- What was told of containers whose identity is not clear, so that it is told once: also over a restart.
CREATE TABLE identity_alarms (
    guest_id TEXT NOT NULL REFERENCES guests (id),
    kind TEXT NOT NULL CHECK (kind IN ('conflict', 'twin')),
    host_id TEXT NOT NULL,
    vmid BIGINT NOT NULL CHECK (vmid BETWEEN 100 AND 999999999),
    why TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (guest_id, kind, host_id, vmid)
);
