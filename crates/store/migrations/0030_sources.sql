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
