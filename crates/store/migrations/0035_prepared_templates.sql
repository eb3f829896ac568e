-- Templates that we make, of what, how far each is, and what proves that it is ours.
CREATE TABLE prepared_templates (
    id TEXT NOT NULL PRIMARY KEY,
    host_id TEXT NOT NULL,
    node TEXT NOT NULL,
    storage TEXT NOT NULL,
    base_key TEXT NOT NULL,
    base TEXT NOT NULL,
    disk_gib BIGINT NOT NULL CHECK (disk_gib > 0),
    vmid BIGINT NOT NULL CHECK (vmid BETWEEN 100 AND 999999999),
    mark TEXT NOT NULL UNIQUE,
    net0_mac TEXT NOT NULL,
    rootfs_volid TEXT,
    stage TEXT NOT NULL CHECK (stage IN ('creating', 'filling', 'converting', 'ready', 'leaving')),
    recorded_at BIGINT NOT NULL,
    stage_at BIGINT NOT NULL,
    used_at BIGINT,
    -- The last call for it whose end is not on record.
    sent TEXT CHECK (sent IN ('create', 'start', 'stop', 'convert', 'destroy')),
    sent_at BIGINT,
    gone_at BIGINT,
    CHECK ((sent IS NULL) = (sent_at IS NULL)),
    CHECK (rootfs_volid IS NOT NULL OR stage IN ('creating', 'leaving')),
    CHECK (gone_at IS NULL OR stage = 'leaving')
);

CREATE UNIQUE INDEX prepared_templates_place ON prepared_templates (host_id, vmid) WHERE gone_at IS NULL;
CREATE UNIQUE INDEX prepared_templates_base ON prepared_templates (host_id, node, storage, base_key)
    WHERE stage <> 'leaving';

-- How often an app with a base was deployed in a place.
CREATE TABLE prepared_bases (
    host_id TEXT NOT NULL,
    node TEXT NOT NULL,
    storage TEXT NOT NULL,
    base_key TEXT NOT NULL,
    deploys BIGINT NOT NULL CHECK (deploys > 0),
    last_at BIGINT NOT NULL,
    PRIMARY KEY (host_id, node, storage, base_key)
);

-- Which guests are made of which template. A linked one keeps it there.
CREATE TABLE prepared_clones (
    guest_id TEXT NOT NULL PRIMARY KEY REFERENCES guests (id),
    template_id TEXT NOT NULL REFERENCES prepared_templates (id),
    linked BIGINT NOT NULL CHECK (linked IN (0, 1))
);
CREATE INDEX prepared_clones_by_template ON prepared_clones (template_id);
