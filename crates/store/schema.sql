-- The schema as all migrations together make it; a test compares the two. Change it with the migration.

CREATE TABLE installation (
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    id TEXT NOT NULL,
    key_check TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    scopes TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE hosts (
    id TEXT NOT NULL PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,
    cluster_key TEXT NOT NULL UNIQUE,
    endpoints TEXT NOT NULL,
    token_id TEXT NOT NULL,
    token_secret_sealed TEXT NOT NULL,
    ssh TEXT,
    ssh_private_key_sealed TEXT,
    pool TEXT,
    storage TEXT NOT NULL,
    template_storage TEXT NOT NULL,
    bridge TEXT NOT NULL,
    pve_version TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    placement TEXT NOT NULL DEFAULT '{}',
    known_nodes TEXT NOT NULL DEFAULT '[]',
    purpose_tokens TEXT NOT NULL DEFAULT '{}',
    CHECK ((ssh IS NULL) = (ssh_private_key_sealed IS NULL))
);

CREATE TABLE apps (
    id TEXT NOT NULL PRIMARY KEY,
    class TEXT NOT NULL CHECK (class IN ('native', 'adopted')),
    owner TEXT NOT NULL,
    hostname TEXT NOT NULL,
    catalog_id TEXT NOT NULL,
    catalog_version TEXT NOT NULL,
    host_id TEXT NOT NULL,
    node TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('deploying', 'adopting', 'cloning', 'running', 'stopped',
        'updating', 'removing', 'error')),
    status_full TEXT NOT NULL,
    status_changed_at BIGINT NOT NULL,
    resources TEXT NOT NULL,
    environment TEXT NOT NULL,
    environment_sealed TEXT,
    guest_port BIGINT NOT NULL CHECK (guest_port BETWEEN 1 AND 65535),
    url TEXT,
    idempotency_key TEXT,
    created_at BIGINT NOT NULL,
    archived_at BIGINT,
    archived_by TEXT,
    archived_record TEXT,
    exposed BIGINT NOT NULL DEFAULT 1 CHECK (exposed IN (0, 1)),
    site_name TEXT,
    site_cert_file TEXT CHECK (site_cert_file IS NULL OR site_name IS NOT NULL),
    site_key_file TEXT CHECK ((site_cert_file IS NULL) = (site_key_file IS NULL)),
    site_url TEXT CHECK (site_url IS NULL OR site_name IS NOT NULL),
    site_trouble TEXT CHECK (site_trouble IS NULL OR site_url IS NULL),
    -- The text of the entry that it was made from; apps of before follow their id in the catalog.
    entry_hash TEXT,
    -- What its container is made with beside its resources, and which apps it is kept apart from.
    made_with TEXT NOT NULL DEFAULT '{}',
    UNIQUE (id, class),
    CHECK ((archived_at IS NULL) = (archived_by IS NULL)),
    CHECK ((archived_at IS NULL) = (archived_record IS NULL)),
    CHECK ((archived_at IS NULL) = (environment_sealed IS NOT NULL))
);

CREATE UNIQUE INDEX apps_live_hostname ON apps (hostname) WHERE archived_at IS NULL;

CREATE UNIQUE INDEX apps_live_site ON apps (site_name) WHERE archived_at IS NULL;

CREATE INDEX apps_live_status ON apps (status) WHERE archived_at IS NULL;

CREATE INDEX apps_live_host ON apps (host_id) WHERE archived_at IS NULL;

CREATE TABLE ports (
    port INTEGER NOT NULL PRIMARY KEY CHECK (port BETWEEN 1 AND 65535),
    side TEXT NOT NULL CHECK (side IN ('public', 'internal')),
    app_id TEXT REFERENCES apps (id),
    freed_at BIGINT,
    rests_until BIGINT,
    CHECK ((app_id IS NULL) = (freed_at IS NOT NULL)),
    CHECK (rests_until IS NULL OR freed_at IS NOT NULL)
);

CREATE UNIQUE INDEX ports_held ON ports (app_id, side) WHERE app_id IS NOT NULL;

-- Ports of the ranges that were never given out, as spans that do not touch what is in "ports".
CREATE TABLE unused_ports (
    first_port INTEGER NOT NULL PRIMARY KEY CHECK (first_port BETWEEN 1 AND 65535),
    last_port BIGINT NOT NULL CHECK (last_port BETWEEN first_port AND 65535)
);

-- The ranges the spans were made for; the spans are made anew when others are configured.
CREATE TABLE port_ranges (
    side TEXT NOT NULL PRIMARY KEY CHECK (side IN ('public', 'internal')),
    first_port BIGINT NOT NULL,
    last_port BIGINT NOT NULL
);

CREATE INDEX ports_free ON ports (side, freed_at, port) WHERE app_id IS NULL AND rests_until IS NULL;
CREATE INDEX ports_resting ON ports (side, freed_at, port) WHERE rests_until IS NOT NULL;
CREATE INDEX ports_resting_until ON ports (side, rests_until) WHERE rests_until IS NOT NULL;

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

CREATE UNIQUE INDEX operations_live ON operations (app_id)
    WHERE state IN ('queued', 'running', 'unwinding', 'stuck');

CREATE INDEX operations_claimable ON operations (created_at, id)
    WHERE state IN ('queued', 'running', 'unwinding');

CREATE INDEX operations_queued ON operations (id) WHERE state = 'queued';

CREATE INDEX operations_by_age ON operations (created_at, id);

CREATE INDEX operations_by_app ON operations (app_id, created_at, id);

CREATE INDEX operations_uncleared ON operations (finished_at, id)
    WHERE finished_at IS NOT NULL AND cleared_at IS NULL;

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
    output_sealed TEXT CHECK (output IS NULL OR output_sealed IS NULL),
    PRIMARY KEY (operation_id, step_index)
) WITHOUT ROWID;

CREATE TABLE guests (
    id TEXT NOT NULL PRIMARY KEY,
    class TEXT NOT NULL CHECK (class IN ('native', 'ephemeral', 'adopted')),
    app_id TEXT,
    purpose TEXT,
    created_by TEXT NOT NULL REFERENCES operations (id),
    host_id TEXT NOT NULL,
    node TEXT NOT NULL,
    vmid BIGINT NOT NULL CHECK (vmid BETWEEN 100 AND 999999999),
    mark TEXT UNIQUE,
    net0_mac TEXT NOT NULL,
    rootfs_volid TEXT,
    recorded_at BIGINT NOT NULL,
    gone_at BIGINT,
    FOREIGN KEY (app_id, class) REFERENCES apps (id, class),
    CHECK ((class = 'ephemeral') = (app_id IS NULL)),
    CHECK ((class = 'ephemeral') = (purpose IS NOT NULL)),
    CHECK ((class = 'adopted') = (mark IS NULL))
);

CREATE UNIQUE INDEX guests_place ON guests (host_id, vmid) WHERE gone_at IS NULL;

CREATE INDEX guests_by_app ON guests (app_id);

-- What was read of a container on the day of its adoption. It outlives the app in the archive. Its configuration is sealed:
-- images expect passwords in it.
CREATE TABLE adoptions (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    record TEXT NOT NULL,
    configuration_sealed TEXT NOT NULL,
    adopted_at BIGINT NOT NULL
);

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

CREATE INDEX log_lines_by_app ON log_lines (app_id, seq);

-- The keys under which requests were made once, each with a hash of its request and what came of it.
CREATE TABLE request_keys (
    account TEXT NOT NULL,
    request_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    resource TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, request_key)
);

CREATE INDEX request_keys_by_age ON request_keys (created_at);

CREATE TABLE events (
    seq INTEGER NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    app_id TEXT,
    operation_id TEXT,
    link TEXT CHECK (length(link) = 64)
);

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
    link TEXT CHECK (length(link) = 64),
    CHECK ((kind = 'mutation') = (step_index IS NOT NULL)),
    CHECK (kind = 'request' OR (operation_id IS NOT NULL AND epoch IS NOT NULL))
);

-- How many rows of each journal were cleared away: of events those with the lowest numbers, of operations those that keep
-- neither steps nor lines. Events are a chain: the link of the last that went is what the others begin behind.
CREATE TABLE clearings (
    journal TEXT NOT NULL PRIMARY KEY CHECK (journal IN ('events', 'log_lines', 'operations')),
    cleared BIGINT NOT NULL CHECK (cleared >= 0),
    link TEXT CHECK (length(link) = 64)
);

CREATE TABLE notice_channels (
    channel TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0 CHECK (failures >= 0),
    retry_at BIGINT,
    problem TEXT,
    dropped BIGINT NOT NULL DEFAULT 0 CHECK (dropped >= 0),
    delivered_at BIGINT,
    CHECK ((failures = 0) = (retry_at IS NULL))
);

CREATE TABLE notices (
    channel TEXT NOT NULL REFERENCES notice_channels (channel),
    seq BIGINT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    held BIGINT NOT NULL CHECK (held IN (0, 1)),
    PRIMARY KEY (channel, seq)
);

CREATE TABLE notice_subjects (
    channel TEXT NOT NULL REFERENCES notice_channels (channel),
    subject TEXT NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (channel, subject)
);

CREATE TRIGGER apps_class_is_fixed BEFORE UPDATE OF class ON apps
WHEN NEW.class <> OLD.class
BEGIN
    SELECT RAISE(ABORT, 'the class of an app is fixed at birth');
END;

CREATE TRIGGER guests_class_is_fixed BEFORE UPDATE OF class ON guests
WHEN NEW.class <> OLD.class
BEGIN
    SELECT RAISE(ABORT, 'the class of a guest is fixed at birth');
END;

CREATE TRIGGER guests_identity_is_fixed BEFORE UPDATE OF mark, net0_mac, vmid, host_id, app_id, created_by ON guests
WHEN NEW.mark IS NOT OLD.mark OR NEW.net0_mac <> OLD.net0_mac OR NEW.vmid <> OLD.vmid
    OR NEW.host_id <> OLD.host_id OR NEW.app_id IS NOT OLD.app_id OR NEW.created_by <> OLD.created_by
BEGIN
    SELECT RAISE(ABORT, 'the identity of a guest is fixed at birth');
END;

CREATE TRIGGER guests_volume_is_learned_once BEFORE UPDATE OF rootfs_volid ON guests
WHEN OLD.rootfs_volid IS NOT NULL AND NEW.rootfs_volid IS NOT OLD.rootfs_volid
BEGIN
    SELECT RAISE(ABORT, 'the volume of a guest is learned once');
END;

CREATE TRIGGER guests_stay_recorded BEFORE DELETE ON guests
BEGIN
    SELECT RAISE(ABORT, 'identity rows are kept');
END;

CREATE TRIGGER operations_epoch_never_falls BEFORE UPDATE OF epoch ON operations
WHEN NEW.epoch < OLD.epoch
BEGIN
    SELECT RAISE(ABORT, 'an epoch never falls');
END;

CREATE INDEX audit_by_step ON audit (operation_id, step_index) WHERE step_index IS NOT NULL;

CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit
WHEN OLD.link IS NOT NULL OR NEW.link IS NULL
BEGIN
    SELECT RAISE(ABORT, 'audit entries are not altered');
END;

CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are not removed');
END;

CREATE TRIGGER events_are_not_altered BEFORE UPDATE ON events
WHEN OLD.link IS NOT NULL OR NEW.link IS NULL
BEGIN
    SELECT RAISE(ABORT, 'events are not altered');
END;

-- What complete looks at the clusters miss, look by look; kept, so that a restart does not begin the count anew.
CREATE TABLE suspicions (
    guest_id TEXT NOT NULL PRIMARY KEY REFERENCES guests (id),
    since BIGINT NOT NULL,
    looks BIGINT NOT NULL CHECK (looks >= 1),
    last_look_at BIGINT NOT NULL,
    among_many BIGINT NOT NULL DEFAULT 0 CHECK (among_many IN (0, 1))
);

-- The mass brake: whether it stopped, and the moment from which on it counts.
CREATE TABLE mass_brake (
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    stopped_at BIGINT,
    missing BIGINT,
    baseline_at BIGINT,
    CHECK ((stopped_at IS NULL) = (missing IS NULL))
);

CREATE INDEX apps_archived ON apps (archived_at, id) WHERE archived_at IS NOT NULL;

CREATE TRIGGER adoptions_are_not_altered BEFORE UPDATE ON adoptions
BEGIN
    SELECT RAISE(ABORT, 'adoption records are not altered');
END;

CREATE TRIGGER adoptions_are_not_removed BEFORE DELETE ON adoptions
BEGIN
    SELECT RAISE(ABORT, 'adoption records are not removed');
END;

-- What was told of containers whose identity is not clear, or that are where they must not be, so that it is told once: also
-- over a restart.
CREATE TABLE identity_alarms (
    guest_id TEXT NOT NULL REFERENCES guests (id),
    kind TEXT NOT NULL CHECK (kind IN ('conflict', 'pool', 'twin')),
    host_id TEXT NOT NULL,
    vmid BIGINT NOT NULL CHECK (vmid BETWEEN 100 AND 999999999),
    why TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (guest_id, kind, host_id, vmid)
);

-- What a guest is known by now, where that is not what it was born with: learned by a look, or accepted by a person.
CREATE TABLE guest_identities (
    guest_id TEXT NOT NULL REFERENCES guests (id),
    standing TEXT NOT NULL CHECK (standing IN ('learned', 'accepted')),
    marked BIGINT NOT NULL CHECK (marked IN (0, 1)),
    net0_mac TEXT NOT NULL,
    rootfs_volid TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (guest_id, standing),
    CHECK (standing = 'learned' OR marked = 1)
);

-- When a guest showed its whole identity last, and when a complete list was last without it.
CREATE TABLE guest_looks (
    guest_id TEXT NOT NULL PRIMARY KEY REFERENCES guests (id),
    verified_at BIGINT,
    missed_at BIGINT
);

-- Adopted apps whose drift is told, and what was told of it last, so that it is told once: also over a restart.
CREATE TABLE guards (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    since BIGINT NOT NULL,
    told_keys TEXT,
    told_at BIGINT,
    CHECK ((told_keys IS NULL) = (told_at IS NULL))
);

CREATE TABLE desired_drifts (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    fields TEXT NOT NULL,
    since BIGINT NOT NULL
);

-- The network devices that a guest showed when it was looked at last, with their MACs and addresses, and since when it shows them.
CREATE TABLE guest_interfaces (
    guest_id TEXT NOT NULL PRIMARY KEY REFERENCES guests (id),
    interfaces TEXT NOT NULL,
    since BIGINT NOT NULL
);

-- What would have to be done so that all is as documents want it, as it was shown, with the names of what was wanted and of the state
-- that it was made from. The newest stay.
CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY,
    made_at BIGINT NOT NULL,
    made_by TEXT NOT NULL,
    digest TEXT NOT NULL CHECK (length(digest) = 64),
    basis TEXT NOT NULL CHECK (length(basis) = 64),
    plan TEXT NOT NULL,
    applied_at BIGINT,
    documents_sealed TEXT
);

CREATE INDEX plans_newest ON plans (made_at, id);

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

-- Plans that are carried out, what is wanted of each app since then, and the secrets that settings stand for.

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

-- Sources of documents: a branch of a repository, what is done with what it says, and what is known of it.
CREATE TABLE sources (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    branch TEXT NOT NULL,
    path TEXT,
    every_s BIGINT NOT NULL CHECK (every_s BETWEEN 30 AND 86400),
    policy TEXT NOT NULL CHECK (policy IN ('plan', 'apply')),
    prune BIGINT NOT NULL CHECK (prune IN (0, 1)),
    signers TEXT,
    owner TEXT,
    hook_sealed TEXT NOT NULL,
    credential_sealed TEXT,
    made_at BIGINT NOT NULL,
    made_by TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('new', 'unreachable', 'wrong', 'waiting', 'applying', 'as_wanted', 'failed')),
    commit_id TEXT,
    applied_commit TEXT,
    plan_id TEXT,
    apply_id TEXT,
    why TEXT,
    problems TEXT NOT NULL,
    failures BIGINT NOT NULL CHECK (failures >= 0),
    looked_at BIGINT,
    due_at BIGINT NOT NULL,
    -- Counts who said that there may be something new.
    nudges BIGINT NOT NULL CHECK (nudges >= 0)
);

-- Content of apps that nothing applies by itself: a person rejected it, or it came to nothing when it was applied without one. One row for
-- each content of a name; of what one and the same has rejected of a name the newest. Forgotten it counts no more, and says from when on
-- what came to nothing before is tried again.
CREATE TABLE rejected_revisions (
    name TEXT NOT NULL,
    -- Stands for what was wanted, also for nothing at all.
    spec_hash TEXT NOT NULL,
    rejected_at BIGINT NOT NULL,
    rejected_by TEXT NOT NULL,
    why TEXT,
    forgotten_at BIGINT,
    PRIMARY KEY (name, spec_hash)
);

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

-- The passwords of root that nobody was shown yet, each until somebody was.
CREATE TABLE root_passwords (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    password_sealed TEXT NOT NULL,
    made_at BIGINT NOT NULL
);

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

-- Who may sign in, with which role: a password as its hash alone, and the SHA-256 of the link that sets one.
CREATE TABLE accounts (
    name TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
    password TEXT,
    password_at BIGINT CHECK ((password_at IS NULL) = (password IS NULL)),
    link_sha256 TEXT,
    link_until BIGINT CHECK ((link_until IS NULL) = (link_sha256 IS NULL)),
    made_at BIGINT NOT NULL,
    made_by TEXT NOT NULL
);
-- Who is signed in: the SHA-256 of what the browser has.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (name),
    secret_sha256 TEXT NOT NULL UNIQUE,
    address TEXT,
    begun_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX sessions_of_account ON sessions (account, begun_at, id);
