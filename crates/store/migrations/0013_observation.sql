-- What complete looks at the clusters miss, look by look; kept, so that a restart does not begin the count anew.
CREATE TABLE suspicions (
    guest_id TEXT NOT NULL PRIMARY KEY REFERENCES guests (id),
    since BIGINT NOT NULL,
    looks BIGINT NOT NULL CHECK (looks >= 1),
    last_look_at BIGINT NOT NULL
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
