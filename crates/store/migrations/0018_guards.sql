-- Adopted apps whose drift is told, and what was told of it last, so that it is told once: also over a restart.
CREATE TABLE guards (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    since BIGINT NOT NULL,
    told_keys TEXT,
    told_at BIGINT,
    CHECK ((told_keys IS NULL) = (told_at IS NULL))
);
