-- What was told of apps whose containers are not as documents want them, so that it is told once: also over a restart.
CREATE TABLE desired_drifts (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    fields TEXT NOT NULL,
    since BIGINT NOT NULL
);
