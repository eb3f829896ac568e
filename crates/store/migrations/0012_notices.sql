-- How far each channel was told of the events, and what it still has to be told. A notice is the number of its event;
-- the words are made when it is sent. A subject is told once per channel, however often an event speaks of it.

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
