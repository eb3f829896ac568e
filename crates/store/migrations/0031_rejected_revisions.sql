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
